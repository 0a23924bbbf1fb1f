from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest

from citywatch.alert import Action
from citywatch.settings import DAY, HOUR
from citywatch.stores.desk import Desk
from citywatch.triage import Choice, Wish
from citywatch.wording import iso

from .desks import in_a_file
from .facts import NOW, alert_id, event, fact, table

FORM = [
    "id",
    "rule",
    "rule_id",
    "rule_version",
    "title",
    "level",
    "status",
    "group",
    "first_seen",
    "last_seen",
    "count",
    "late",
    "lat",
    "lon",
    "address",
    "reason",
    "values",
    "evidence",
    "state",
    "outcome",
    "assignee",
    "updated_at",
]


def test_an_alert_has_the_contract_s_form_with_six_decimals_and_z(desk: Desk) -> None:
    desk.put_facts(table([fact(1, first_seen=NOW + 5)]), now=NOW)
    alert = next(desk.alerts(now=NOW))
    assert list(alert) == FORM
    assert alert["first_seen"] == "2026-05-01T12:00:00.000005Z"
    assert alert["updated_at"] == "2026-05-01T12:00:00.000000Z"
    assert alert["group"] == {"plate": "K1234"}
    assert alert["values"] == {"speed_kmh": 468.0}
    assert alert["evidence"][0]["data"]["violation_code"] == 46
    assert (alert["state"], alert["outcome"], alert["assignee"]) == ("open", None, None)


def test_words_that_are_special_in_json_survive(desk: Desk) -> None:
    reason = 'a "quote", a \\, a\nline, \x1f and é'
    desk.put_facts(table([fact(1, reason=reason, address="Rue de l'Église\t1")]), now=NOW)
    alert = next(desk.alerts(now=NOW))
    assert alert["reason"] == reason
    assert alert["address"] == "Rue de l'Église\t1"


def test_alerts_are_ordered_by_first_seen_then_id(desk: Desk) -> None:
    desk.put_facts(table(fact(name, first_seen=NOW + name % 3) for name in range(20)), now=NOW)
    listed = [(alert["first_seen"], alert["id"]) for alert in desk.alerts(now=NOW)]
    assert listed == sorted(listed)
    assert len(listed) == 20


def test_the_columns_of_all_alerts_say_what_the_alerts_say(desk: Desk) -> None:
    """More of them than are read at once; some were worked on, and of some little is known."""
    bare: dict[str, object] = {"group": None, "values": None, "evidence": None, "lat": None, "lon": None}
    facts = [fact(number, first_seen=NOW + number, late=number % 2 == 0) for number in range(300)]
    desk.put_facts(table([*facts, {**fact("bare"), **bare}]), now=NOW)
    desk.act(alert_id(1), Wish(Action.CLOSE, by="anna", channel="cli", outcome="true_positive"), now=NOW + HOUR)
    desk.act(alert_id(2), Wish(Action.SHELVE, by="anna", channel="cli", until=NOW + DAY), now=NOW + HOUR)
    desk.act(alert_id(3), Wish(Action.ASSIGN, by="anna", channel="cli", assignee="ben"), now=NOW + HOUR)
    for now in (NOW + 2 * HOUR, NOW + 2 * DAY):
        told = [
            dict(zip(part, row, strict=True))
            for part in desk.columns(FORM, now=now)
            for row in zip(*part.values(), strict=True)
        ]
        for alert in told:
            alert.update({name: iso(alert[name]) for name in ("first_seen", "last_seen", "updated_at")})
            alert.update({name: json.loads(alert[name]) for name in ("group", "values", "evidence")})
        assert sorted(told, key=lambda alert: (alert["first_seen"], alert["id"])) == list(desk.alerts(now=now))


def test_the_same_facts_again_change_nothing(desk: Desk) -> None:
    facts = table(fact(name) for name in range(5))
    desk.put_facts(facts, now=NOW)
    place = desk.last_change()
    desk.put_facts(facts, now=NOW + HOUR)
    assert desk.last_change() == place
    assert len(desk.outbox()) == 5


def test_an_alert_grows_and_never_shrinks(desk: Desk) -> None:
    desk.put_facts(table([fact(1, count=2)]), now=NOW)
    desk.put_facts(table([fact(1, count=5, first_seen=NOW - 7, last_seen=NOW + 7)]), now=NOW)
    desk.put_facts(table([fact(1, count=3)]), now=NOW)
    alert = next(desk.alerts(now=NOW))
    assert (alert["count"], alert["first_seen"][-7:], alert["last_seen"][-7:]) == (5, "999993Z", "000007Z")


def test_of_one_alert_told_twice_in_a_batch_the_later_counts(desk: Desk) -> None:
    desk.put_facts(table([fact(1, count=1), fact(2), fact(1, count=2)]), now=NOW)
    assert {alert["count"] for alert in desk.alerts(now=NOW)} == {1, 2}
    assert len(desk.outbox()) == 2


@pytest.mark.parametrize(
    ("told", "notified"),
    [
        ({}, True),
        ({"status": "test"}, False),
        ({"status": "experimental"}, False),
        ({"silent": True}, False),
        ({"inconclusive": True}, False),
        ({"first_seen": NOW - DAY}, True),
        ({"first_seen": NOW - DAY - 1}, False),
        ({"first_seen": NOW + DAY + 1}, False),
    ],
)
def test_only_live_and_stable_alerts_are_notified(desk: Desk, told: dict[str, object], notified: bool) -> None:
    desk.put_facts(table([fact(1, **told)]), now=NOW)
    assert bool(desk.outbox()) is notified


def test_how_live_is_live_is_a_setting(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk.sqlite", live=HOUR) as desk:
        desk.put_facts(table([fact(1, first_seen=NOW - 2 * HOUR)]), now=NOW)
        assert desk.outbox() == []


def test_growth_never_notifies_again(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    seen = desk.outbox()[-1][0]
    desk.put_facts(table([fact(1, count=2), fact(2)]), now=NOW)
    assert [alert for _, alert in desk.outbox(seen)] == [alert_id(2)]


def test_what_was_not_notified_at_birth_is_not_by_growing(desk: Desk) -> None:
    desk.put_facts(table([fact(1, silent=True)]), now=NOW)
    desk.put_facts(table([fact(1, count=2, silent=False)]), now=NOW)
    assert desk.outbox() == []


def test_an_inconclusive_alert_says_so_and_others_say_nothing(desk: Desk) -> None:
    desk.put_facts(table([fact(1, inconclusive=True, first_seen=NOW - 1), fact(2)]), now=NOW)
    doubtful, sure = desk.alerts(now=NOW)
    assert doubtful["inconclusive"] is True
    assert "inconclusive" not in sure


def test_the_relay_s_cursor_is_kept(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), cursor=41, now=NOW)
    desk.put_facts(table([]), cursor=42, now=NOW)
    assert desk.cursor("relay") == 42


def test_alerts_are_chosen_by_rule_state_level_and_time(desk: Desk) -> None:
    facts = [
        fact(1),
        fact(2, rule="needs_human", level="low", first_seen=NOW + 10),
        fact(3, rule="dwell", level="critical", first_seen=NOW + 20),
    ]
    desk.put_facts(table(facts), now=NOW)

    def chosen(choice: Choice) -> list[str]:
        return [alert["rule"] for alert in desk.alerts(choice, now=NOW)]

    assert chosen(Choice(rules=["dwell", "cloned_plate"])) == ["cloned_plate", "dwell"]
    assert chosen(Choice(levels=["low"])) == ["needs_human"]
    assert chosen(Choice(since=NOW + 10, until=NOW + 20)) == ["needs_human"]
    assert chosen(Choice(states=["closed"])) == []
    assert chosen(Choice(states=["open"], rules=["dwell"])) == ["dwell"]
    assert chosen(Choice(ids=[alert_id(2)])) == ["needs_human"]


def test_the_list_goes_back_in_time_page_by_page(desk: Desk) -> None:
    desk.put_facts(table(fact(name) for name in range(7)), now=NOW)
    first = desk.newest(limit=4)
    second = desk.newest(before=first[-1].raised, limit=4)
    assert [listed.alert["id"] for listed in first + second] == [alert_id(name) for name in reversed(range(7))]


@in_a_file
def test_of_a_hundred_thousand_alerts_at_once_each_costs_hardly_more_than_of_ten_thousand(desk: Desk) -> None:
    def taken_in(count: int) -> float:
        """Seconds of the processor."""
        one = table([fact(0)])
        ids = [alert_id(f"{number} of {count}") for number in range(count)]
        evidence = [json.dumps([event(f"{number} of {count}", plate="K1")]) for number in range(count)]
        facts = one.take([0] * count)
        for name, values in (("id", ids), ("evidence", evidence)):
            facts = facts.set_column(facts.schema.get_field_index(name), name, pa.array(values))
        begin = time.process_time()
        desk.put_facts(facts, now=NOW)
        return time.process_time() - begin

    assert taken_in(100_000) < 50 * taken_in(10_000), "with each looked for among all it would be a hundred times"
    assert desk.state_counts(now=NOW)["open"] == 110_000


def test_a_few_alerts_that_matter_are_found_under_many_that_do_not(desk: Desk) -> None:
    desk.put_facts(table([fact("old"), fact("other", rule="dwell", level="low")]), now=NOW)
    desk.put_facts(table(fact(name, rule="trial", status="test") for name in range(500)), now=NOW)

    def newest(choice: Choice, before: int | None = None) -> list[str]:
        return [listed.alert["id"] for listed in desk.newest(choice, before=before, limit=3)]

    stable = Choice(statuses=["stable"])
    assert newest(stable) == [alert_id("other"), alert_id("old")]
    assert newest(Choice(statuses=["stable"], states=["open"], levels=["high"])) == [alert_id("old")]
    assert newest(stable, before=2) == [alert_id("old")]
    assert newest(Choice(statuses=["stable", "test"])) == [alert_id(name) for name in (499, 498, 497)]
    assert newest(Choice(statuses=["experimental"])) == []
    assert desk.state_counts(["stable"], now=NOW)["open"] == 2
    assert desk.state_counts(now=NOW)["open"] == 502
