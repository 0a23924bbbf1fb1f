"""Files and warning systems follow what becomes of an alert; who is told by message is told once, unless a route says
otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from citywatch.alert import Action, Outcome
from citywatch.delivery import Follow
from citywatch.settings import HOUR, MINUTE, SECOND
from citywatch.stores.desk.database import now_us
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id
from tests.unit.notify.place import Clock, Here, drained, hooks, planned
from tests.unit.notify.receivers import LOCAL, Mailbox, Web, mail, until, web
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
        object.__setattr__(
            lane.target,
            "notifier",
            type("Slow", (), {"send": staticmethod(slow), "FOLLOWS": Follow.EVERYTHING, "TOGETHER": False})(),
        )
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


def hook(server: Web, more: str = "", route: str = "follow: outcome") -> str:
    """A webhook for which one route says how closely it follows."""
    options = f'type: webhook, url: "{server.url}", allow: {LOCAL}{more}'
    return f"notifiers:\n  duty: {{{options}}}\nroutes:\n  - {{name: all, to: duty, {route}}}\n"


def goes(here: Here, routes: str, *, minutes: float = 1) -> None:
    """Let time pass, and everything be told that is to be."""
    here.now.us += int(minutes * MINUTE)  # type: ignore[attr-defined]  # a clock of ours
    planned(here, routes)
    drained(here.lane(routes), here)


def types(server: Web) -> list[str]:
    return [request.json["type"] for request in server.requests]


def test_a_route_that_follows_tells_a_webhook_how_an_alert_ended_under_another_key(timed: Here) -> None:
    with web() as server:
        timed.raised(1)
        goes(timed, hook(server))
        act(timed, Action.ACK)
        goes(timed, hook(server))
        act(timed, Action.CLOSE, outcome=Outcome.FALSE_POSITIVE)
        goes(timed, hook(server), minutes=0.2)
        goes(timed, hook(server), minutes=0.2)
        act(timed, Action.UNDO)
        goes(timed, hook(server))
    raised, closed, again = server.requests
    assert types(server) == ["alert.raised", "alert.closed", "alert.updated"]
    assert {request.json["data"]["id"] for request in server.requests} == {ALERT}
    assert (closed.json["data"]["state"], closed.json["data"]["outcome"]) == ("closed", "false_positive")
    assert closed.json["headline"].endswith("(closed: false positive)")
    assert again.json["headline"].endswith("(acknowledged again)")
    assert raised.key == ALERT
    assert len(set(server.keys)) == 3


def test_a_correction_is_told_with_its_outcome(timed: Here) -> None:
    with web() as server:
        timed.raised(1)
        goes(timed, hook(server))
        act(timed, Action.CORRECT, code=14)
        goes(timed, hook(server))
    assert types(server) == ["alert.raised", "alert.closed"]
    assert server.requests[1].json["data"]["outcome"] == "corrected"


@pytest.mark.parametrize(("route", "told"), [("follow: everything", 2), ("follow: nothing", 1), ("rule: '*'", 1)])
def test_how_closely_a_webhook_follows_stands_in_its_route(timed: Here, route: str, told: int) -> None:
    with web() as server:
        timed.raised(1)
        goes(timed, hook(server, route=route))
        act(timed, Action.ACK)
        goes(timed, hook(server, route=route))
        if told == 1:
            act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
            goes(timed, hook(server, route=route))
    assert types(server) == ["alert.raised", "alert.updated"][:told]


def test_a_change_that_does_not_arrive_is_sent_again_under_its_key(timed: Here) -> None:
    answers = iter([204, 500, "cut", 204])
    with web(lambda _: next(answers)) as server:
        timed.raised(1)
        goes(timed, hook(server))
        act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
        for _ in range(4):
            goes(timed, hook(server))
    assert types(server) == ["alert.raised", *["alert.closed"] * 3]
    assert len(set(server.keys)) == 2


def test_a_shift_that_closes_everything_is_no_storm(timed: Here) -> None:
    with web() as server:
        routes = hook(server, ", at_most: 10/1m")
        timed.raised(*range(10))
        goes(timed, routes)
        timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
        timed.raised(*range(10, 18))
        for name in range(10):
            act(timed, Action.CLOSE, name, outcome=Outcome.DUPLICATE)
        goes(timed, routes, minutes=0)
    assert types(server) == [*["alert.raised"] * 18, "alerts.digest"]
    last = server.requests[-1].json
    assert last["data"]["why"] == "changes"
    assert last["headline"] == "[high] 10 alerts stand elsewhere now: 10 cloned_plate"
    assert {alert["state"] for alert in last["data"]["alerts"]} == {"closed"}
    assert timed.standing().told == 18


def test_what_ends_in_quiet_hours_is_told_when_they_are_over(timed: Here) -> None:
    timed.now.us = _local_time(22, 0)  # type: ignore[attr-defined]  # a clock of ours
    with web() as server:
        routes = hook(server, route="follow: outcome, quiet: '23:00-06:00'")
        timed.raised(1, 2)
        timed.raised(3, level="critical")
        goes(timed, routes)
        timed.now.us = _local_time(23, 30)  # type: ignore[attr-defined]  # as above
        for name in (1, 2, 3):
            act(timed, Action.CLOSE, name, outcome=Outcome.DUPLICATE)
        goes(timed, routes)
        assert types(server)[3:] == ["alert.closed"]
        assert server.requests[3].json["data"]["level"] == "critical"
        timed.now.us = _local_time(30, 5)  # type: ignore[attr-defined]  # as above
        goes(timed, routes)
    assert types(server)[4:] == ["alerts.digest"]
    assert server.requests[4].json["data"]["count"] == 2


def _local_time(hour: int, minute: int) -> int:
    """That time of day in New York on a day of the past, in µs."""
    day = datetime(2026, 5, 1, tzinfo=ZoneInfo("America/New_York"))
    return int((day + timedelta(hours=hour, minutes=minute)).timestamp()) * SECOND


def test_a_mail_about_the_end_is_an_answer_to_the_one_about_the_beginning(timed: Here) -> None:
    box = Mailbox()
    with mail(box) as port:
        options = f"type: email, server: '127.0.0.1:{port}', from: c@example.org, to: duty@example.org, security: none"
        text = f"notifiers:\n  post: {{{options}}}\nroutes:\n  - {{name: all, to: post, follow: outcome}}\n"
        timed.raised(1)
        for state in ("open", "closed"):
            if state == "closed":
                act(timed, Action.CLOSE, outcome=Outcome.TRUE_POSITIVE)
            timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
            planned(timed, text)
            drained(timed.lane(text, "post/duty@example.org"), timed)
    raised, closed = box.mails
    assert closed["In-Reply-To"] == raised["Message-ID"]
    assert closed["References"] == raised["Message-ID"]
    assert closed["Message-ID"] != raised["Message-ID"]
    assert str(closed["Subject"]).endswith("(closed: true positive)")
    plain = closed.get_body(("plain",))
    assert plain is not None
    assert "State: closed: true positive" in plain.get_content()


def test_an_alert_whose_level_rises_reaches_those_who_wait_for_that_level(timed: Here) -> None:
    with web() as duty, web() as all_, web() as once:
        servers = hooks(duty=duty, all=all_, once=once)
        routes = servers.replace("name: to-duty,", "name: to-duty, at_least: high,").replace(
            "name: to-all,", "name: to-all, follow: outcome,"
        )

        def pass_on() -> None:
            timed.now.us += MINUTE  # type: ignore[attr-defined]  # a clock of ours
            planned(timed, routes)
            for target in ("duty", "all", "once"):
                drained(timed.lane(routes, target), timed)

        timed.raised(1, level="medium")
        pass_on()
        timed.raised(1, level="medium", count=2)
        pass_on()
        assert (types(duty), types(all_), types(once)) == ([], ["alert.raised"], ["alert.raised"])
        timed.raised(1, level="high", count=3)
        pass_on()
        timed.raised(1, level="high", count=4)
        pass_on()
    assert (types(duty), types(once)) == (["alert.raised"], ["alert.raised"])
    assert types(all_) == ["alert.raised", "alert.updated"]
    assert "[high]" in all_.requests[1].json["headline"]
    assert all_.requests[1].json["headline"].endswith("(was medium)")


def test_one_whose_level_falls_is_told_to_those_who_follow_everything(timed: Here) -> None:
    for follow, told in (("outcome", 1), ("everything", 2)):
        with web() as server:
            routes = hook(server, route=f"follow: {follow}")
            timed.raised(follow)
            goes(timed, routes)
            timed.raised(follow, level="low", count=2)
            goes(timed, routes)
        assert types(server) == ["alert.raised", "alert.updated"][:told]


def test_what_a_version_before_wrote_down_is_followed_and_makes_no_storm(timed: Here) -> None:
    timed.raised(1)
    told(timed, CAP)
    with timed.desk() as desk, desk.transaction() as con:
        con.execute("UPDATE deliveries SET told = 'open/'")
    timed.raised(1, count=2)
    told(timed, CAP)
    assert len(warnings(timed)) == 1
    act(timed, Action.CLOSE, outcome=Outcome.DUPLICATE)
    told(timed, CAP)
    assert [text(root, "msgType") for root in warnings(timed)] == ["Alert", "Cancel"]
