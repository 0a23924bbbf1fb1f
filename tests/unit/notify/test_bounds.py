"""Never a storm, and never for ever: bounds, digests, quiet hours, and what is given up, in time that a test sets."""

from __future__ import annotations

from typing import Any

from citywatch.settings import DAY, HOUR, MINUTE, SECOND
from tests.unit.notify.place import Clock, Here, drained, hooks, ids, planned
from tests.unit.notify.receivers import LOCAL, Web, web


def bounded(server: Web, rate: str, more: str = "") -> str:
    return (
        f'notifiers:\n  duty: {{type: webhook, url: "{server.url}", allow: {LOCAL}, at_most: {rate}}}\n'
        f"routes:\n  - {{name: all, to: duty{more}}}\n"
    )


def test_a_storm_is_bounded_and_ends_in_a_digest(here: Here) -> None:
    here.now = clock = Clock()
    with web() as server:
        routes = bounded(server, "5/10m")
        lane = here.lane(routes)
        here.raised(*range(41))
        planned(here, routes)
        drained(lane, here)
        kinds = [request.json["type"] for request in server.requests]
        assert kinds == ["alert.raised"] * 4 + ["alerts.digest"]
        assert server.requests[4].json["data"]["count"] == 37
        assert "37 more alerts" in server.requests[4].json["headline"]
        for wave in range(10):  # it goes on: nothing more within the ten minutes
            here.raised(*range(100 + 50 * wave, 150 + 50 * wave))
            planned(here, routes)
            drained(lane, here)
            clock.us += MINUTE - SECOND
        assert len(server.requests) == 5
        clock.us += MINUTE
        drained(lane, here)
        assert len(server.requests) == 10
    assert here.standing().told == 41 + 500


def test_critical_alerts_are_told_in_the_middle_of_a_storm(here: Here) -> None:
    here.now = Clock()
    with web() as server:
        routes = bounded(server, "2/1m")
        lane = here.lane(routes)
        here.raised(*range(50), level="low")
        planned(here, routes)
        drained(lane, here)
        assert len(server.requests) == 2
        here.raised(77, level="critical")
        planned(here, routes)
        drained(lane, here)
    assert server.keys[2:] == ids(77)


def test_the_bound_holds_over_restarts_and_over_a_receiver_that_was_down(here: Here) -> None:
    here.now = clock = Clock()
    answers = [500]
    with web(lambda _: answers[0]) as server:
        routes = bounded(server, "3/1h")
        for name in range(30):
            here.raised(name)
            planned(here, routes)
            drained(here.lane(routes), here)  # a lane of a new process each time
            clock.us += MINUTE // 2
        answers[0], before = 204, len(server.requests)
        for _ in range(50):
            clock.us += SECOND
            drained(here.lane(routes), here)
        assert len(server.requests) - before == 3
        clock.us += HOUR
        drained(here.lane(routes), here)
    assert here.standing().told == 30


def test_quiet_hours_end_in_one_message_and_critical_alerts_do_not_wait(here: Here) -> None:
    here.now = clock = Clock()
    with web() as server:
        routes = bounded(server, "9/1m", more=', quiet: "00:00-24:00"')
        lane = here.lane(routes)
        here.raised(1, 2, 3)
        here.raised(4, level="critical")
        planned(here, routes)
        drained(lane, here)
        assert server.keys == ids(4)
        clock.us += 20 * DAY
        drained(lane, here)
    assert server.requests[1].json["data"]["why"] == "quiet"
    assert server.requests[1].json["data"]["count"] == 3


def test_a_message_is_not_tried_for_ever_and_can_be_brought_back(here: Here) -> None:
    here.now = clock = Clock()
    answers = [503]
    with web(lambda _: answers[0]) as server:
        routes = hooks(duty=server)
        lane = here.lane(routes)
        here.raised(1)
        planned(here, routes)
        drained(lane, here)
        clock.us += 4 * DAY
        drained(lane, here)
        assert here.standing().given_up == 1
        answers[0] = 204
        with here.desk() as desk:
            assert desk.retry(["duty"], now=clock()) == 1
        drained(lane, here)
    assert (here.standing().told, here.standing().given_up) == (1, 0)


def test_a_message_whose_alert_is_no_longer_kept_is_given_up(here: Here) -> None:
    here.now = clock = Clock()
    with web(lambda _: 503) as server:
        lane = here.lane(hooks(duty=server))
        here.raised(1)
        planned(here, hooks(duty=server))
        drained(lane, here)
        with here.desk() as desk, desk.transaction() as con:
            con.execute("DELETE FROM facts")
        clock.us += MINUTE
        drained(lane, here)
    assert here.standing().given_up == 1


def test_a_receiver_that_asks_to_wait_is_left_alone_so_long(here: Here) -> None:
    here.now = clock = Clock()
    answers: list[Any] = [(429, {"Retry-After": "60"})]
    with web(lambda _: answers[0]) as server:
        routes = hooks(duty=server)
        lane = here.lane(routes)
        here.raised(1)
        planned(here, routes)
        drained(lane, here)
        answers[0] = 204
        clock.us += 59 * SECOND
        drained(lane, here)
        assert len(server.requests) == 1
        clock.us += 2 * SECOND
        drained(lane, here)
    assert here.standing().told == 1
