"""Delivery as a whole: never a lost alert, never a storm, and no receiver stops another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from citywatch.notify.deliverer import Deliverer
from citywatch.notify.lane import Lane
from citywatch.notify.outbox import City, Host
from citywatch.notify.pace import Patience
from citywatch.notify.route import Routes
from citywatch.notify.routes import load_routes
from citywatch.settings import DAY, HOUR, MINUTE, SECOND
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import alert_id, fact, table
from tests.unit.notify.receivers import LOCAL, Mailbox, Request, Web, free_port, mail, until, web

HASTY = Patience(first=20_000, most=100_000, refused=50_000)

CITY = City(
    zone="America/New_York",
    live=DAY,
    zones=lambda alert: ["school"],
    tags=lambda rule: ["plates"],
    runbook=lambda rule: "Look twice.",
)


@dataclass
class Here:
    """A data directory with a desk and routes."""

    data: Path
    pulse: Callable[[], str | None] = lambda: None
    said: list[str] = field(default_factory=list)
    now: Callable[[], int] = now_us
    patience: Patience = HASTY

    def desk(self) -> Desk:
        return Desk(self.data / "desk.sqlite")

    def routes(self, text: str) -> Routes:
        (self.data / "routes.yaml").write_text(text, "utf-8")
        return load_routes(self.data)

    def host(self) -> Host:
        return Host(self.desk, self.said.append, self.pulse, self.now, self.patience)

    def raised(self, *names: int | str, **told: Any) -> None:
        with self.desk() as desk:
            desk.put_facts(table(fact(name, **{"first_seen": self.now(), **told}) for name in names), now=self.now())

    def standing(self, target: str = "duty") -> Any:
        with self.desk() as desk:
            return next((found for found in desk.standings(now=self.now()) if found.target == target), None)

    @contextmanager
    def delivering(self, routes: str) -> Iterator[Deliverer]:
        deliverer = Deliverer(self.routes(routes), CITY, self.host())
        deliverer.start()
        try:
            yield deliverer
        finally:
            deliverer.stop(within=10)

    def lane(self, routes: str, target: str = "duty") -> Lane:
        found = self.routes(routes)
        return Lane(found.targets[target], lambda: found, CITY, self.host())


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def hooks(*, hasty: str = "", **servers: Web | int) -> str:
    """Webhooks of these names to which everything goes, by one route each; that named `hasty` waits for no answer."""
    ports = {name: server if isinstance(server, int) else server.port for name, server in servers.items()}
    notifiers = ""
    for name, port in ports.items():
        timeout = "300ms" if name == hasty else "25s"
        url = f"http://127.0.0.1:{port}/hook"
        notifiers += f'  {name}: {{type: webhook, url: "{url}", allow: {LOCAL}, timeout: {timeout}}}\n'
    return f"notifiers:\n{notifiers}routes:\n" + "".join(f"  - {{name: to-{name}, to: {name}}}\n" for name in ports)


def ids(*names: int) -> list[str]:
    return sorted(alert_id(name) for name in names)


def test_each_alert_is_told_once_and_growth_is_not_told(here: Here) -> None:
    with web() as server, here.delivering(hooks(duty=server)):
        here.raised(1, 2)
        until(lambda: len(server.requests) == 2)
        here.raised(1, count=5)
        here.raised(3)
        until(lambda: len(server.requests) == 3)
    assert sorted(server.keys) == ids(1, 2, 3)


def test_alerts_of_rules_in_test_and_of_the_past_are_told_to_nobody(here: Here) -> None:
    with web() as server, here.delivering(hooks(duty=server)):
        here.raised(1, status="test")
        here.raised(2, first_seen=now_us() - 2 * DAY)
        here.raised(3)
        until(lambda: server.requests)
    assert server.keys == ids(3)


def test_what_was_raised_while_nothing_ran_is_told_later_unless_it_is_old_by_then(here: Here) -> None:
    here.now = lambda: now_us() - DAY - HOUR
    here.raised(1)
    here.now = now_us
    here.raised(2)
    with web() as server, here.delivering(hooks(duty=server)):
        until(lambda: server.requests)
    assert server.keys == ids(2)


@pytest.mark.parametrize("trouble", ["hang", "cut", 500, 503, 410, 404, 401])
def test_a_receiver_in_trouble_gets_everything_when_it_comes_back(here: Here, trouble: Any) -> None:
    answers: list[Any] = [trouble]
    with web(lambda _: answers[0]) as server, here.delivering(hooks(duty=server, hasty="duty")):
        here.raised(1, 2, 3)
        until(lambda: len(server.requests) >= 2, "a second try")
        answers[0] = 204
        until(lambda: here.standing().told == 3, "all alerts told")
        assert here.standing().error is None
    assert set(server.keys) == set(ids(1, 2, 3))
    assert here.said[0].startswith("duty could not be told of 1 alert(s)")


def test_a_receiver_that_is_down_gets_everything_when_it_is_up_again(here: Here) -> None:
    with web() as server:
        server.stop()
        with here.delivering(hooks(duty=server)):
            here.raised(1, 2)
            until(lambda: (standing := here.standing()) and standing.failures >= 2)
            server.start()
            until(lambda: here.standing().told == 2)
    assert sorted(server.keys) == ids(1, 2)


def test_one_that_hangs_or_refuses_does_not_stop_the_others(here: Here) -> None:
    with web(lambda _: "hang") as hanging, web(lambda _: 410) as gone, web() as fine:
        with here.delivering(hooks(hanging=hanging, gone=gone, down=free_port(), fine=fine, hasty="hanging")):
            here.raised(*range(20))
            until(lambda: len(fine.requests) == 20)
        assert sorted(fine.keys) == ids(*range(20))
        assert here.standing("hanging").told == here.standing("gone").told == 0
        assert here.standing("gone").refused


def test_a_message_that_is_refused_is_given_up_visibly_and_the_next_goes_through(here: Here) -> None:
    def answer(request: Request) -> int:
        return 422 if request.key == alert_id(1) else 204

    with web(answer) as server, here.delivering(hooks(duty=server)):
        here.raised(1)
        until(lambda: (standing := here.standing()) and standing.given_up == 1)
        here.raised(2)
        until(lambda: here.standing().told == 1)
    assert server.keys == [alert_id(1), alert_id(2)]


def test_a_message_that_only_ever_fails_does_not_stop_those_behind_it(here: Here) -> None:
    def answer(request: Request) -> int:
        return 500 if request.key == alert_id(1) else 204

    with web(answer) as server, here.delivering(hooks(duty=server)):
        here.raised(*range(1, 8))
        until(lambda: here.standing() and here.standing().told == 6)
        until(lambda: server.keys.count(alert_id(1)) > 3)
    assert sorted(set(server.keys)) == ids(*range(1, 8))
    assert here.standing().waiting == 1


def test_the_same_message_comes_under_the_same_key_however_often_it_is_tried(here: Here) -> None:
    failures = iter([500, 500, 500])
    with web(lambda _: next(failures, 204)) as server, here.delivering(hooks(duty=server)):
        here.raised(1)
        until(lambda: here.standing() and here.standing().told == 1)
    assert server.keys == ids(1) * 4


def bounded(server: Web, rate: str, more: str = "") -> str:
    return (
        f'notifiers:\n  duty: {{type: webhook, url: "{server.url}", allow: {LOCAL}, at_most: {rate}}}\n'
        f"routes:\n  - {{name: all, to: duty{more}}}\n"
    )


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.us = now_us()

    def __call__(self) -> int:
        return self.us


def planned(here: Here, routes: str) -> None:
    """Decide who is told, as the deliverer does, without starting a thread."""
    deliverer = Deliverer(here.routes(routes), CITY, here.host())
    with here.desk() as desk:
        deliverer._plan(desk)


def drained(lane: Lane, here: Here) -> None:
    """Let a lane send all that it may send at this moment."""
    with here.desk() as desk:
        while lane.turn(desk) == 0.0:
            pass


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


def test_a_fault_in_a_notifier_is_shown_and_stops_nothing(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from citywatch.notify import webhook

    real = webhook.payload

    def faulty(message: Any) -> Any:
        if message.alerts[0]["id"] == alert_id(1):
            raise KeyError("fault")
        return real(message)

    monkeypatch.setattr(webhook, "payload", faulty)
    with web() as server, here.delivering(hooks(duty=server)):
        here.raised(1)
        until(lambda: here.standing() and here.standing().failures)
        here.raised(2)
        until(lambda: here.standing().told == 1)
    assert any("KeyError" in words for words in here.said)


def test_plates_are_masked_unless_the_route_gives_a_purpose_which_is_recorded(here: Here) -> None:
    with web() as hidden, web() as shown:
        routes = hooks(hidden=hidden, shown=shown).replace("to: shown}", "to: shown, reveal: stolen vehicles squad}")
        with here.delivering(routes):
            here.raised(1)
            until(lambda: hidden.requests and shown.requests)
    assert b"K1234" not in hidden.requests[0].body
    assert shown.requests[0].json["data"]["group"] == {"plate": "K1234"}
    with here.desk() as desk:
        (entry,) = desk.audited()
    assert (entry["purpose"], entry["alert"]) == ("stolen vehicles squad", alert_id(1))
    assert "shown" in entry["what"]


def test_edited_routes_are_used_from_the_next_alert_on(here: Here) -> None:
    with web() as first, web() as second, here.delivering(hooks(first=first)) as deliverer:
        here.raised(1)
        until(lambda: first.requests)
        deliverer.replace(here.routes(hooks(second=second)))
        until(lambda: "second" in deliverer._lanes)
        here.raised(2)
        until(lambda: second.requests)
    assert (first.keys, second.keys) == (ids(1), ids(2))


def test_an_edited_notifier_waits_for_the_request_of_the_one_before(here: Here) -> None:
    """Two threads never tell the same receiver: the first request is answered late, and is not repeated meanwhile."""
    with (
        web(lambda _: "hang") as before,
        web() as after,
        here.delivering(hooks(duty=before, hasty="duty")) as deliverer,
    ):
        here.raised(1)
        until(lambda: before.requests)
        deliverer.replace(here.routes(hooks(duty=after)))
        until(lambda: after.requests)
    assert before.keys[:1] == after.keys == ids(1)


def test_what_waits_for_a_removed_receiver_is_given_up_visibly(here: Here) -> None:
    with web() as other, here.delivering(hooks(duty=free_port(), other=other)) as deliverer:
        here.raised(1)
        until(lambda: here.standing() and here.standing().failures)
        deliverer.replace(here.routes(hooks(other=other)))
        until(lambda: here.standing().given_up == 1)
    assert here.standing().waiting == 0


def test_stopping_sends_what_is_there_and_does_not_wait_for_who_hangs(here: Here) -> None:
    with web(lambda _: "hang") as hanging, web() as fine:
        deliverer = Deliverer(here.routes(hooks(hanging=hanging, fine=fine)), CITY, here.host())
        deliverer.start()
        here.raised(1)
        until(lambda: hanging.requests)
        here.raised(2)
        assert deliverer.stop(within=1.0) is False
        assert sorted(fine.keys) == ids(1, 2)


def test_mail_to_several_people_is_exact_for_each_of_them(here: Here) -> None:
    box = Mailbox(refused={"b@example.org": "450 later"})
    with mail(box) as port:
        text = (
            f"notifiers:\n  mail: {{type: email, server: '127.0.0.1:{port}', security: none, from: c@example.org, "
            "to: [a@example.org, b@example.org]}\nroutes: [{name: all, to: mail}]"
        )
        with here.delivering(text):
            here.raised(1)
            until(lambda: here.standing("mail/b@example.org") and here.standing("mail/b@example.org").failures)
            box.refused.clear()
            until(lambda: here.standing("mail/b@example.org").told == 1)
    assert sorted(box.to) == ["a@example.org", "b@example.org"]


def test_files_take_every_alert_of_a_storm(here: Here) -> None:
    text = "notifiers: {map: {type: geojson, most: 5000}}\nroutes: [{name: all, to: map}]"
    with here.delivering(text):
        here.raised(*range(1_200))
        until(lambda: here.standing("map") and here.standing("map").told == 1_200)
    assert here.standing("map").sent == 3


def test_a_heartbeat_beats_while_all_is_well_and_is_silent_otherwise(here: Here) -> None:
    well: list[str | None] = [None]
    looks: list[str | None] = []

    def pulse() -> str | None:
        looks.append(well[0])
        return well[0]

    here.pulse = pulse
    with web() as server:
        text = f'notifiers: {{alive: {{type: heartbeat, url: "{server.url}", every: 20ms, allow: {LOCAL}}}}}'
        with here.delivering(text):
            until(lambda: len(server.requests) > 3)
            well[0] = "the clock has not moved"
            until(lambda: looks[-1])
            silent = len(server.requests)
            until(lambda: looks.count(well[0]) > 10, "ten more looks")
            assert len(server.requests) == silent
            well[0] = None
            until(lambda: len(server.requests) > silent + 2)
    assert [words.partition("alive: ")[2] for words in here.said] == ["not sent: the clock has not moved", "well again"]
    assert {request.method for request in server.requests} == {"GET"}


def test_a_heartbeat_that_nobody_answers_is_said_once_and_beats_on(here: Here) -> None:
    with web() as server:
        server.stop()
        text = f'notifiers: {{alive: {{type: heartbeat, url: "{server.url}", every: 20ms, allow: {LOCAL}}}}}'
        with here.delivering(text):
            until(lambda: here.said)
            server.start()
            until(lambda: len(server.requests) > 2)
    assert len([words for words in here.said if "refused" in words]) == 1
