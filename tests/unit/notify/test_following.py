"""Files and warning systems follow what becomes of an alert; who is told by message is told once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from citywatch.alert import Action, Outcome
from citywatch.settings import HOUR, MINUTE, SECOND
from citywatch.stores.desk.database import now_us
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id
from tests.unit.notify.place import Clock, Here, drained, hooks, planned
from tests.unit.notify.receivers import until, web
from tests.unit.notify.test_forms import CAP_SCHEMA, text

ALERT = alert_id(1)
CAP = "  duty: {type: cap, sender: city@example.org, directory: cap}\n"
MAP = "  duty: {type: geojson, file: map.geojson}\n"


def routes(notifier: str) -> str:
    return f"notifiers:\n{notifier}routes:\n  - {{name: all, to: duty}}\n"


def act(here: Here, action: Action, name: int = 1, **details: Any) -> str:
    with here.desk() as desk:
        return desk.act(alert_id(name), Wish(action, by="bo", channel="cli", **details), now=here.now())


def told(here: Here, notifier: str) -> None:
    """Let time pass, and everything be told that is to be."""
    if isinstance(here.now, Clock):
        here.now.us += 10 * SECOND
    planned(here, routes(notifier))
    drained(here.lane(routes(notifier)), here)


def warnings(here: Here) -> list[ET.Element]:
    """The CAP messages, in the order in which they were sent; each is valid."""
    files = sorted((here.data / "cap").glob("*.xml"))
    for file in files:
        CAP_SCHEMA.validate(file.read_text("utf-8"))
    found = [ET.fromstring(file.read_bytes()) for file in files]  # noqa: S314 - our own
    return sorted(found, key=lambda root: str(text(root, "sent")))


def features(file: Path) -> dict[str, tuple[str, str | None]]:
    found = json.loads(file.read_text("utf-8"))["features"]
    return {one["id"]: (one["properties"]["state"], one["properties"]["outcome"]) for one in found}


@pytest.fixture
def timed(here: Here) -> Here:
    here.now = clock = Clock()
    clock.us -= HOUR  # the present is never passed
    return here


def test_an_alert_that_is_worked_on_and_closed_is_updated_and_cancelled(timed: Here) -> None:
    timed.raised(1)
    told(timed, CAP)
    act(timed, Action.ACK)
    told(timed, CAP)
    act(timed, Action.CLOSE, outcome=Outcome.FALSE_POSITIVE)
    told(timed, CAP)
    told(timed, CAP)
    raised, updated, cancelled = warnings(timed)
    assert [text(root, "msgType") for root in (raised, updated, cancelled)] == ["Alert", "Update", "Cancel"]
    assert text(raised, "references") is None
    first = f"city@example.org,{ALERT},{text(raised, 'sent')}"
    assert text(updated, "references") == first
    second = f"city@example.org,{text(updated, 'identifier')},{text(updated, 'sent')}"
    assert text(cancelled, "references") == f"{first} {second}"
    assert text(cancelled, "info/certainty") == "Unlikely"
    assert str(text(cancelled, "info/headline")).endswith("(closed: false positive)")
    assert len({text(root, "identifier") for root in (raised, updated, cancelled)}) == 3


def test_an_alert_that_comes_back_is_updated(timed: Here) -> None:
    timed.raised(1)
    told(timed, CAP)
    act(timed, Action.CLOSE, outcome=Outcome.TRUE_POSITIVE)
    told(timed, CAP)
    act(timed, Action.UNDO)
    told(timed, CAP)
    assert [text(root, "msgType") for root in warnings(timed)] == ["Alert", "Cancel", "Update"]


@pytest.mark.parametrize(
    "change",
    [
        lambda here: here.raised(1, count=5),
        lambda here: act(here, Action.NOTE, note="on my way"),
        lambda here: [act(here, action) for action in (Action.ACK, Action.UNDO)],
    ],
    ids=["growth", "a note", "undone at once"],
)
def test_what_leaves_an_alert_where_it_stands_is_not_told(timed: Here, change: Callable[[Here], object]) -> None:
    timed.raised(1)
    told(timed, CAP)
    change(timed)
    told(timed, CAP)
    assert len(warnings(timed)) == 1


def test_an_alert_that_was_closed_before_it_was_told_is_told_as_it_is(timed: Here) -> None:
    timed.raised(1)
    planned(timed, routes(CAP))
    act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
    told(timed, CAP)
    told(timed, CAP)
    (only,) = warnings(timed)
    assert (text(only, "msgType"), text(only, "info/responseType")) == ("Alert", "AllClear")


def test_a_change_while_the_message_is_on_its_way_is_told_after_it(timed: Here) -> None:
    timed.raised(1)
    planned(timed, routes(CAP))
    with timed.desk() as desk:
        lane = timed.lane(routes(CAP))
        send = lane.target.notifier.send

        def slow(message: Any) -> str:
            act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
            planned(timed, routes(CAP))
            object.__setattr__(lane.target, "notifier", notifier)
            return send(message)

        notifier = lane.target.notifier
        object.__setattr__(lane.target, "notifier", type("Slow", (), {"send": staticmethod(slow), "FOLLOWS": True})())
        lane.turn(desk)
        timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
        drained(lane, timed)
    assert [text(root, "msgType") for root in warnings(timed)] == ["Alert", "Cancel"]


def test_changes_beyond_the_bound_wait_and_are_told_as_they_stand_then(timed: Here) -> None:
    notifier = CAP.replace("directory: cap", "directory: cap, at_most: 3/1m")
    timed.raised(1, 2, level="high")
    told(timed, notifier)
    for name in (1, 2):
        act(timed, Action.ACK, name)
    told(timed, notifier)
    assert len(warnings(timed)) == 3
    for name in (1, 2):
        act(timed, Action.CLOSE, name, outcome=Outcome.DUPLICATE)
    timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
    told(timed, notifier)
    kinds = [text(root, "msgType") for root in warnings(timed)]
    assert kinds == ["Alert", "Alert", "Update", "Cancel", "Cancel"]
    assert timed.standing().told == 2


def test_who_was_told_by_a_digest_is_not_told_of_each_change(timed: Here) -> None:
    notifier = CAP.replace("directory: cap", "directory: cap, at_most: 1/1m")
    timed.raised(1, 2, 3)
    told(timed, notifier)
    act(timed, Action.ACK)
    timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
    told(timed, notifier)
    assert len(warnings(timed)) == 1


def test_a_map_shows_how_alerts_stand(timed: Here) -> None:
    timed.raised(1, 2)
    told(timed, MAP)
    act(timed, Action.CLOSE, outcome=Outcome.CORRECTED)
    told(timed, MAP)
    assert features(timed.data / "map.geojson") == {
        ALERT: ("closed", "corrected"),
        alert_id(2): ("open", None),
    }


def test_a_map_may_drop_what_is_closed_and_has_it_again_when_it_comes_back(timed: Here) -> None:
    notifier = MAP.replace("map.geojson", "map.geojson, closed: drop")
    timed.raised(1, 2)
    told(timed, notifier)
    act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
    told(timed, notifier)
    assert set(features(timed.data / "map.geojson")) == {alert_id(2)}
    act(timed, Action.UNDO)
    told(timed, notifier)
    assert set(features(timed.data / "map.geojson")) == {ALERT, alert_id(2)}


def test_a_map_takes_all_alerts_of_a_burst(timed: Here) -> None:
    timed.raised(*range(400))
    told(timed, MAP)
    assert len(features(timed.data / "map.geojson")) == 400


def test_a_running_deliverer_follows_and_a_webhook_is_told_once(here: Here) -> None:
    with web() as server:
        both = hooks(duty=server) + "  - {name: map, to: map}\n"
        with here.delivering(both.replace("routes:\n", "  map: {type: geojson, file: map.geojson}\nroutes:\n", 1)):
            here.raised(1)
            file = here.data / "map.geojson"
            until(lambda: server.requests and file.exists())
            act(here, Action.CLOSE, outcome=Outcome.DUPLICATE)
            until(lambda: features(file)[ALERT] == ("closed", "duplicate"), "the map shows it")
            here.raised(2, first_seen=now_us())
            until(lambda: len(server.requests) == 2)
    assert sorted(server.keys) == sorted([ALERT, alert_id(2)])
