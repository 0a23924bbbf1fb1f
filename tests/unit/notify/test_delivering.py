"""Delivery as a whole: never a lost alert, and no receiver stops another."""

from __future__ import annotations

from typing import Any

import pytest

from citywatch.notify.deliverer import Deliverer
from citywatch.settings import DAY, HOUR
from citywatch.stores.desk.database import now_us
from deploy.servers.server import free_port
from tests.unit.desk.facts import alert_id
from tests.unit.notify.place import CITY, Here, hooks, ids
from tests.unit.notify.receivers import LOCAL, Mailbox, Request, mail, until, web


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
            until(lambda: here.standing("gone").refused)
        assert sorted(fine.keys) == ids(*range(20))
        assert here.standing("hanging").told == here.standing("gone").told == 0


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
        assert deliverer.stop(within=5.0) is False
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
