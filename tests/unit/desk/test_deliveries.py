"""Deliveries on the desk: planned once, put into messages within bounds, tried again, given up, brought back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from citywatch.alert import Action, Outcome
from citywatch.delivery import Envelope, Follow, Kind, Planned, Room, Way
from citywatch.settings import HOUR, MINUTE, SECOND
from citywatch.stores.desk import Desk
from citywatch.triage import Wish
from tests.unit.desk.facts import NOW, alert_id, fact, table


def raised(
    desk: Desk, *names: int, level: str = "high", target: str = "duty", due: int = NOW, held: bool = False
) -> None:
    desk.put_facts(table(fact(name, level=level) for name in names), now=NOW)
    to_plan = desk.to_plan(now=NOW)
    urgent = level == "critical"
    planned = [Planned(n, target, "all", urgent=urgent, held=held, due=due) for n, _ in to_plan]
    desk.plan(planned, upto=to_plan[-1][0])


def next_one(desk: Desk, now: int = NOW) -> Envelope:
    found = desk.outgoing("duty", now=now)
    assert found is not None
    return found


def all_sent(desk: Desk, now: int = NOW) -> list[Envelope]:
    found = []
    while envelope := desk.outgoing("duty", now=now):
        desk.sent(envelope, now=now)
        found.append(envelope)
    return found


def test_an_alert_is_planned_once_and_growth_plans_nothing(desk: Desk) -> None:
    raised(desk, 1)
    desk.put_facts(table([fact(1, count=2)]), now=NOW)
    assert desk.to_plan(now=NOW) == []


def test_an_alert_and_a_receiver_have_one_delivery_whatever_planning_repeats(desk: Desk) -> None:
    raised(desk, 1)
    desk.plan([Planned(1, "duty", "other", urgent=False, held=False, due=NOW)], upto=1)
    desk.compose("duty", Room(), now=NOW)
    assert [(e.key, e.enclosed[0][1]) for e in all_sent(desk)] == [(alert_id(1), "all")]


def test_it_is_known_when_it_was_decided_who_is_told_until_that_is_forgotten(desk: Desk) -> None:
    for hour, name in enumerate((1, 2, 3)):
        desk.put_facts(table([fact(name)]), now=NOW)
        assert desk.decided(alert_id(name)) == (False, None)
        desk.plan([], upto=name, now=NOW + hour * HOUR)
    assert [desk.decided(alert_id(name)) for name in (1, 2, 3)] == [(True, NOW + hour * HOUR) for hour in range(3)]
    desk.forget_deliveries(NOW + HOUR)
    assert [desk.decided(alert_id(name))[1] for name in (1, 2, 3)] == [None, NOW + HOUR, NOW + 2 * HOUR]


def test_what_is_in_a_message_stays_in_it_and_keeps_its_key_over_tries(desk: Desk) -> None:
    raised(desk, *range(5))
    desk.compose("duty", Room(1, 1), now=NOW)
    first = next_one(desk)
    assert (first.kind, first.alerts, first.attempts) == (Kind.DIGEST, 5, 0)
    desk.put_off(first, "down", due=NOW + SECOND, until=NOW + SECOND, now=NOW)
    assert desk.outgoing("duty", now=NOW) is None
    raised(desk, 7)
    again = next_one(desk, NOW + SECOND)
    assert (again.key, again.alerts, again.attempts) == (first.key, 5, 1)
    assert desk.pause("duty") == (1, NOW + SECOND)


def test_more_than_there_is_room_for_becomes_single_messages_and_one_digest(desk: Desk) -> None:
    raised(desk, *range(40))
    desk.compose("duty", Room(3, 3), now=NOW)
    assert [(e.kind, e.alerts) for e in all_sent(desk)] == [(Kind.ALERT, 1), (Kind.ALERT, 1), (Kind.DIGEST, 38)]
    assert desk.messages_since("duty", NOW - 1) == (0, 3)


def test_without_room_alerts_wait(desk: Desk) -> None:
    raised(desk, 1, 2)
    desk.compose("duty", Room(0, 0), now=NOW)
    assert desk.outgoing("duty", now=NOW) is None
    assert desk.standings(now=NOW)[0].waiting == 2


def test_the_most_serious_alerts_get_the_messages_of_their_own(desk: Desk) -> None:
    raised(desk, 1, 2, level="low")
    raised(desk, 3, level="high")
    desk.compose("duty", Room(2, 2), now=NOW)
    alone, digest = all_sent(desk)
    assert alone.key == alert_id(3)
    assert {alert["id"] for alert, _ in digest.enclosed} == {alert_id(1), alert_id(2)}
    assert digest.rules == {"cloned_plate": 2}


def test_critical_alerts_have_room_of_their_own_and_go_first(desk: Desk) -> None:
    raised(desk, *range(10), level="low")
    raised(desk, 11, level="critical")
    desk.compose("duty", Room(1, 0), now=NOW)
    (only,) = all_sent(desk)
    assert (only.key, only.urgent) == (alert_id(11), True)


def test_what_came_in_quiet_hours_is_one_message_at_their_end(desk: Desk) -> None:
    raised(desk, 1, 2, 3, due=NOW + HOUR, held=True)
    desk.compose("duty", Room(9, 9), now=NOW)
    assert desk.outgoing("duty", now=NOW) is None
    assert desk.next_due("duty") == NOW + HOUR
    assert desk.standings(now=NOW)[0].held == 3
    desk.compose("duty", Room(9, 9), now=NOW + HOUR)
    assert [(e.kind, e.alerts) for e in all_sent(desk, NOW + HOUR)] == [(Kind.QUIET, 3)]


def test_a_file_takes_alerts_in_bundles(desk: Desk) -> None:
    raised(desk, *range(25))
    desk.compose("duty", Room(), bundle=10, now=NOW)
    assert [(e.kind, e.alerts) for e in all_sent(desk)] == [(Kind.BATCH, 10), (Kind.BATCH, 10), (Kind.BATCH, 5)]


def test_what_is_given_up_is_counted_and_comes_back_when_asked_for(desk: Desk) -> None:
    raised(desk, 1)
    desk.compose("duty", Room(1, 1), now=NOW)
    desk.give_up(next_one(desk), "no such user", now=NOW)
    (standing,) = desk.standings(now=NOW)
    assert (standing.given_up, standing.waiting, standing.told) == (1, 0, 0)
    assert desk.retry(["duty"], now=NOW) == 1
    desk.sent(next_one(desk), now=NOW)
    (standing,) = desk.standings(now=NOW)
    assert (standing.given_up, standing.told, standing.sent, standing.failed) == (0, 1, 1, 1)


def test_what_waits_for_a_receiver_that_is_gone_is_given_up_visibly(desk: Desk) -> None:
    raised(desk, 1, 2)
    raised(desk, 3, due=NOW + HOUR, held=True)
    assert desk.withdraw(["duty"], now=NOW) == 0
    assert desk.withdraw(["another"], now=NOW) == 1
    (standing,) = desk.standings(now=NOW)
    assert (standing.given_up, standing.waiting, standing.held) == (3, 0, 0)


def test_an_alert_tells_what_became_of_it(desk: Desk) -> None:
    raised(desk, 1)
    assert [d["state"] for d in desk.deliveries_of(alert_id(1))] == ["planned"]
    desk.compose("duty", Room(1, 1), now=NOW)
    desk.sent(next_one(desk), now=NOW)
    (told,) = desk.deliveries_of(alert_id(1)[:8])
    assert (told["target"], told["route"], told["state"], told["kind"]) == ("duty", "all", "sent", "alert")


def test_old_deliveries_are_forgotten_and_not_made_again(desk: Desk) -> None:
    raised(desk, 1)
    desk.compose("duty", Room(1, 1), now=NOW)
    desk.sent(next_one(desk), now=NOW)
    raised(desk, 2)
    assert desk.forget_deliveries(NOW + MINUTE) == 1
    assert desk.deliveries_of(alert_id(1)) == []
    assert desk.deliveries_of(alert_id(2)) != []
    assert desk.to_plan(now=NOW) == []


def test_who_follows_is_told_again_when_the_alert_stands_elsewhere_and_not_when_it_grows(desk: Desk) -> None:
    raised(desk, 1, 2)
    desk.compose("duty", Room(2, 2), now=NOW)
    while envelope := desk.outgoing("duty", now=NOW):
        desk.sent(envelope, follow={"all": Follow.OUTCOME}, due=at_once, now=NOW)
    desk.put_facts(table([fact(1, count=2)]), now=NOW)
    desk.act(alert_id(2), Wish(Action.ACK, by="anna", channel="page"), now=NOW)
    assert desk.follow(["duty"], at_once, now=NOW) == 0
    desk.act(alert_id(1), Wish(Action.CLOSE, by="anna", channel="page", outcome=Outcome.DUPLICATE), now=NOW)
    assert desk.follow(["other"], at_once, now=NOW) == 0
    desk.act(alert_id(1), Wish(Action.NOTE, by="anna", channel="page", note="seen"), now=NOW)
    assert desk.follow(["duty", "other"], at_once, now=NOW) == 1
    desk.compose("duty", Room(2, 2), now=NOW)
    again = next_one(desk)
    assert (again.kind, again.before, again.enclosed[0][0]["outcome"]) == (Kind.UPDATE, ("open", "high"), "duplicate")
    assert [key for key, _ in again.earlier] == [alert_id(1)]


def at_once(_: Way) -> int:
    return NOW


def test_an_alert_whose_level_rises_is_planned_for_once_more_and_one_that_grows_is_not(desk: Desk) -> None:
    raised(desk, 1, 2, 3, level="medium")
    desk.put_facts(table([fact(1, level="medium", count=2), fact(2, level="low", count=2)]), now=NOW)
    assert desk.risen(now=NOW) == []
    desk.put_facts(table([fact(3, level="critical", count=2), fact(2, level="low", count=3)]), now=NOW)
    ((number, alert),) = desk.risen(now=NOW)
    assert (alert["id"], alert["level"]) == (alert_id(3), "critical")
    desk.plan_risen([Planned(number, "chief", "serious", urgent=True, held=False, due=NOW)], [number])
    assert desk.risen(now=NOW) == []
    desk.put_facts(table([fact(3, level="critical", count=3)]), now=NOW)
    assert desk.risen(now=NOW) == []
    desk.compose("chief", Room(), now=NOW)
    told = desk.outgoing("chief", now=NOW)
    assert told is not None
    assert [found["id"] for found, _ in told.enclosed] == [alert_id(3)]


def test_what_waits_for_the_end_of_quiet_hours_is_told_at_once_when_it_becomes_critical(desk: Desk) -> None:
    raised(desk, 1, due=NOW + HOUR, held=True)
    desk.put_facts(table([fact(1, level="critical", count=2)]), now=NOW)
    ((number, _),) = desk.risen(now=NOW)
    desk.plan_risen([Planned(number, "duty", "all", urgent=True, held=False, due=NOW)], [number])
    desk.compose("duty", Room(1, 0), now=NOW)
    assert next_one(desk).urgent


def test_a_desk_of_the_version_before_gets_what_is_new_and_keeps_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "desk.sqlite"
    with Desk(file) as desk:
        desk.put_facts(table([fact(1)]), now=NOW)
    with sqlite3.connect(file) as con:
        later = (
            "deliveries messages targets audit_subjects secrets violations proposals decisions batches risen decided"
        )
        for name in later.split():
            con.execute(f"DROP TABLE {name}")
        con.execute("PRAGMA user_version=1")
    con.close()
    with Desk(file) as desk:
        assert [alert["id"] for _, alert in desk.to_plan(now=NOW)] == [alert_id(1)]
        assert desk.standings() == []
