"""`citywatch notify`, and deliveries beside a running `citywatch up`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from citywatch.cli.delivery import Deliveries, Pulse, city
from citywatch.cli.doctor import doctor
from citywatch.cli.hosting import Host
from citywatch.cli.notify import notify
from citywatch.errors import RouteErrors, UsageError
from citywatch.notify.matching import seen
from citywatch.settings import HOUR, SECOND
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from deploy.servers.server import free_port
from tests.unit.desk.facts import alert_id, fact, table
from tests.unit.notify.alerts import NOW
from tests.unit.notify.place import Clock, Here, hooks, planned
from tests.unit.notify.receivers import until, web

OWN = """
title: Own
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a12
name: own
status: experimental
level: low
logsource: {category: sensor.reading}
tags: [own-tag]
"""


def call(data: Path, *words: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(notify, [*words, "--data", str(data)], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


def test_a_stranger_begins_with_new_and_sees_what_it_means(here: Here) -> None:
    assert "`citywatch notify new` writes one" in call(here.data, "list").stderr
    call(here.data, "new")
    assert json.loads((here.data / "routes.schema.json").read_text())["title"] == "citywatch routes"
    assert "everything\n  every alert\n  -> map\n" in call(here.data, "list").output
    with pytest.raises(UsageError, match="is there already"):
        call(here.data, "new")


def test_a_test_says_for_each_receiver_what_happened(here: Here) -> None:
    with web() as fine:
        here.routes(hooks(fine=fine, down=free_port()))
        result = call(here.data, "test", exit_code=1)
        assert "ok  fine: answered 204" in result.output
        assert "FAILED  down: 127.0.0.1 did not answer" in result.output
        (request,) = fine.requests
        assert (request.json["type"], request.json["data"]["rule"]) == ("test", "test")
        for name in ("fine", "to-fine"):
            assert call(here.data, "test", name).output.count("ok") == 1


def test_a_test_of_nobody_is_wrong_usage_and_wrong_routes_say_their_lines(here: Here) -> None:
    with pytest.raises(UsageError, match="nobody to tell"):
        call(here.data, "test")
    here.routes(hooks(duty=free_port()))
    with pytest.raises(UsageError, match=r"no route and no notifier 'dutty' .known: to-duty, duty"):
        call(here.data, "test", "dutty")
    (here.data / "routes.yaml").write_text("routes:\n - {name: r}\n")
    with pytest.raises(RouteErrors, match=r"routes.yaml:2: to is missing"):
        call(here.data, "list")


def test_explain_says_which_routes_an_alert_took_and_why_not_the_others(here: Here) -> None:
    with web() as server:
        routes = hooks(duty=server) + "  - {name: low, to: duty, level: low}\n  - {name: late, to: duty, rule: dwell}\n"
        with here.delivering(routes):
            here.raised(1)
            until(lambda: here.standing() and here.standing().told)
    shown = call(here.data, "explain", alert_id(1)[:12]).output
    assert "to-duty: yes, to duty" in shown
    assert "low: no, its level is high, not low" in shown
    assert "late: no, its rule is cloned_plate, not dwell" in shown
    assert "duty by route to-duty: sent" in shown
    assert "answered 204" in shown


def test_explain_says_that_nobody_is_told_or_not_yet(here: Here) -> None:
    routes = hooks(duty=free_port())
    here.routes(routes)
    here.raised(1)
    shown = call(here.data, "explain", alert_id(1)).output
    assert "it is not decided yet who is told" in shown
    assert "to-duty: it would go to duty" in shown
    here.raised("shadow", status="test")
    here.raised("old")
    moment = now_us()
    here.now = lambda: moment + 25 * HOUR
    planned(here, routes)
    shadow, old = (call(here.data, "explain", alert_id(name)).output for name in ("shadow", "old"))
    assert "it notifies nobody: its rule is in test" in shadow
    assert "it notifies nobody: when that was decided it was older" in old
    for shown in (shadow, old):
        assert "to-duty: it would go to duty" in shown
        assert "yes" not in shown


def test_explain_judges_hours_at_the_time_at_which_it_was_decided_who_is_told(here: Here) -> None:
    routes = hooks(duty=free_port()) + '  - {name: open, to: duty, hours: "10:30-11:30"}\n'
    here.now = clock = Clock()
    clock.us = NOW  # 08:00
    here.raised(1)
    clock.us += 3 * HOUR
    planned(here, routes)
    assert "open: yes, to duty" in call(here.data, "explain", alert_id(1)).output


def test_explain_takes_the_rules_that_up_was_given(here: Here, tmp_path: Path) -> None:
    rules = tmp_path / "own"
    rules.mkdir()
    (rules / "own.yaml").write_text(OWN)
    here.routes(hooks(duty=free_port()) + "  - {name: mine, to: duty, tags: own-tag}\n")
    here.raised(1, rule="own")
    assert "mine: no, its rule has no tag" in call(here.data, "explain", alert_id(1)).output
    assert "mine: it would go to duty" in call(here.data, "explain", alert_id(1), "--rules", str(rules)).output
    assert "no tag 'own-tag'" in call(here.data, "list").stderr
    assert "no tag" not in call(here.data, "list", "--rules", str(rules)).stderr


def test_a_route_by_precinct_takes_an_alert_that_has_only_a_position(here: Here) -> None:
    corners = [[-75, 40], [-73, 40], [-73, 41], [-75, 41], [-75, 40]]
    outline = {"type": "Polygon", "coordinates": [corners]}
    feature = {"type": "Feature", "properties": {"precinct": 14}, "geometry": outline}
    (here.data / "precincts.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    about = city(Host(here.data))
    alert = {"rule": "x", "level": "low", "lat": 40.7, "lon": -74.0, "evidence": [{"data": {}}]}
    assert seen(alert, about, at=now_us()).precinct == "14"
    assert seen({**alert, "lat": 10.0}, about, at=now_us()).precinct is None
    assert seen({**alert, "lat": None, "lon": None}, about, at=now_us()).precinct is None
    assert seen({**alert, "evidence": [{"data": {"precinct": 5}}]}, about, at=now_us()).precinct == "5"


def test_what_was_given_up_is_shown_and_tried_again_when_asked_for(here: Here) -> None:
    answers = [422]
    with web(lambda _: answers[0]) as server, here.delivering(hooks(duty=server)):
        here.raised(1)
        until(lambda: here.standing() and here.standing().given_up)
        assert "1 given up" in call(here.data, "list").output
        found = CliRunner().invoke(doctor, ["--data", str(here.data)]).output
        assert "1 alerts were not taken by duty, and are not tried any more" in found
        answers[0] = 204
        assert "1 alerts" in call(here.data, "retry", "duty").output
        until(lambda: here.standing().told == 1)


def test_doctor_says_which_receiver_takes_nothing(here: Here) -> None:
    with web(lambda _: 410) as server, here.delivering(hooks(duty=server)):
        here.raised(1)
        until(lambda: here.standing() and here.standing().refused)
        result = CliRunner().invoke(doctor, ["--data", str(here.data)])
    assert "duty takes nothing of ours: answered 410 Gone" in result.output
    assert result.exit_code == 1


def test_doctor_says_that_alerts_wait_when_nothing_delivers(here: Here) -> None:
    here.routes(hooks(duty=free_port()))
    here.raised(1, 2)
    assert "2 alerts wait for `citywatch up`" in CliRunner().invoke(doctor, ["--data", str(here.data)]).output


def status(clock: int, evaluated: int = 5, events: int = 5) -> dict[str, object]:
    return {"engine": {"pid": os.getpid(), "clock": clock, "evaluated": evaluated, "events": events}}


def test_the_pulse_is_well_while_the_clock_moves() -> None:
    pulse, now = Pulse(), now_us()
    assert pulse.why == "it has not begun to listen"
    for second in range(0, 300, 20):
        pulse.look(status(now + second * SECOND), now + second * SECOND)
        assert pulse.why is None


def test_the_pulse_of_an_engine_whose_clock_stands_still_is_not_well() -> None:
    pulse, now = Pulse(), now_us()
    for second in (0, 30, 60):
        pulse.look(status(now), now + second * SECOND)
        assert pulse.stalled is None
    pulse.look(status(now), now + 61 * SECOND)
    assert pulse.stalled == (now, "the clock has not moved for 61 s")
    pulse.look(status(now + SECOND), now + 62 * SECOND)
    assert pulse.why is None


def test_the_pulse_of_rules_that_see_nothing_although_events_wait_is_not_well() -> None:
    pulse, now = Pulse(), now_us()
    for second in range(0, 80, 10):
        pulse.look(status(now + second, evaluated=5, events=9), now + second * SECOND)
    assert "the rules have seen no event" in str(pulse.why)
    pulse.look(status(now + 99, evaluated=9, events=9), now + 80 * SECOND)
    assert pulse.why is None


def test_heartbeats_stay_away_while_the_disk_is_full(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries = Deliveries(Host(here.data))
    deliveries._pulse.why = None
    assert deliveries._unwell() is None
    monkeypatch.setattr(DataDirectory, "free", lambda _: (0, 1))
    assert deliveries._unwell() == "the disk is full, and nothing is accepted"


def test_what_another_process_said_once_is_no_pulse() -> None:
    pulse = Pulse()
    pulse.look({"engine": {"pid": 1, "clock": 5, "evaluated": 0, "events": 0}}, now_us())
    assert pulse.why == "it has not begun to listen"


def test_an_engine_that_stands_still_is_one_alert(here: Here) -> None:
    from citywatch.engine.own import stalled_facts

    now = now_us()
    with here.desk() as desk:
        for later in range(3):
            desk.put_facts(stalled_facts(now - 60 * SECOND, now + later * SECOND, "the clock has not moved for 61 s"))
        (told,) = desk.to_plan()
    assert (told[1]["rule"], told[1]["level"]) == ("engine_stalled", "high")


def test_up_delivers_and_follows_edited_routes(here: Here) -> None:
    """The composition beside an engine, with an edit that does not load in between."""
    from citywatch.cli.delivery import Deliveries
    from citywatch.cli.hosting import Host

    with web() as first, web() as second:
        here.routes(hooks(first=first))
        with Desk(here.data / "desk.sqlite"), Deliveries(Host(here.data)):
            here.raised(1)
            until(lambda: first.keys == [alert_id(1)])
            (here.data / "routes.yaml").write_text("routes: [")
            here.raised(2)
            until(lambda: len(first.keys) == 2)
            here.routes(hooks(second=second))
            until(lambda: _raise_another(here, second.keys))
    assert second.keys


def _raise_another(here: Here, keys: list[str]) -> bool:
    """Until the edit is seen, alerts go the old way."""
    with here.desk() as desk:
        desk.put_facts(table([fact(f"another {now_us()}", first_seen=now_us())]))
    return bool(keys)
