from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from citywatch.alert import Action
from citywatch.errors import AlertError
from citywatch.settings import SECOND
from citywatch.stores.desk import Desk
from citywatch.triage import Wish

from .facts import NOW, alert_id, batch, correction, event, fact, table


def correct(desk: Desk, code: int = 38, name: str | int = 1, **more: Any) -> None:
    desk.act(alert_id(name), Wish(Action.CORRECT, by="anna", channel="cli", code=code, **more), now=NOW)


def seen(desk: Desk, name: str | int = 1) -> tuple[str, str | None]:
    alert = desk.alert(alert_id(name)).alert
    return alert["state"], alert["outcome"]


def inbox(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in desk.take_inbox()]


def as_columns(message: dict[str, Any], at: int) -> dict[str, Any]:
    """The event as intake makes columns of it."""
    return {
        "type": message["type"],
        "source": message["source"],
        "id": message["id"],
        "time": at,
        **{name: message["data"][name] for name in ("corrects_source", "corrects_id", "violation_code")},
        "data": json.dumps(message["data"]),
    }


def test_a_correction_closes_the_alert_that_rests_on_the_event(desk: Desk) -> None:
    desk.put_facts(table([fact(1), fact(2, evidence=[event("18")])]), now=NOW)
    assert desk.put_corrections(batch([correction("c1", code=38)]), now=NOW) == 1
    assert seen(desk) == ("closed", "corrected")
    assert seen(desk, 2) == ("open", None)


def test_it_does_so_too_when_it_comes_before_the_alert(desk: Desk) -> None:
    desk.put_corrections(batch([correction("c1", code=38)]), now=NOW)
    desk.put_facts(table([fact(1)]), now=NOW)
    assert seen(desk) == ("closed", "corrected")


def test_and_when_the_event_enters_the_evidence_later(desk: Desk) -> None:
    desk.put_facts(table([fact(1, evidence=[event("18")])]), now=NOW)
    desk.put_corrections(batch([correction("c1", code=38)]), now=NOW)
    assert seen(desk) == ("open", None)
    desk.put_facts(table([fact(1, count=2, evidence=[event("17"), event("18")])]), now=NOW)
    assert seen(desk) == ("closed", "corrected")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_last_by_time_source_id_counts_in_any_order_of_arrival(desk: Desk, order: tuple[int, ...]) -> None:
    three = [
        correction("c1", code=1, at=NOW),
        correction("c2", code=2, at=NOW + SECOND, source="a"),
        correction("c1", code=3, at=NOW + SECOND, source="b"),
    ]
    desk.put_facts(table([fact(1)]), now=NOW)
    for number in order:
        desk.put_corrections(batch([three[number]]), now=NOW)
    assert seen(desk) == ("closed", "corrected")
    assert [entry["code"] for entry in desk.history(alert_id(1))][-1] == 3


def test_a_correction_seen_again_does_nothing(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    again = batch([correction("c1", code=38)])
    assert [desk.put_corrections(again, now=NOW) for _ in range(3)] == [1, 0, 0]
    assert len(desk.history(alert_id(1))) == 1


def test_events_of_other_types_are_passed_over(desk: Desk) -> None:
    other = {**correction("c1", code=38), "type": "drone.violation"}
    assert desk.put_corrections(batch([other]), now=NOW) == 0


def test_a_correction_of_an_unknown_event_is_kept_and_listed(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.put_corrections(batch([correction("c1", code=38), correction("c2", code=38, of="never seen")]), now=NOW)
    assert [kept["id"] for kept in desk.corrections(unmatched=True)] == ["c2"]
    assert len(desk.corrections()) == 2


def test_what_a_person_decided_before_stays_and_the_correction_is_noted(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), Wish(Action.CLOSE, by="anna", channel="cli", outcome="true_positive"), now=NOW)
    desk.put_corrections(batch([correction("c1", code=38)]), now=NOW)
    assert seen(desk) == ("closed", "true_positive")
    assert desk.history(alert_id(1))[-1]["code"] == 38


def test_a_person_s_correction_closes_at_once_and_leaves_an_event_for_the_engine(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    correct(desk)
    assert seen(desk) == ("closed", "corrected")
    (message,) = inbox(desk)
    assert (message["type"], message["source"], message["specversion"]) == (
        "violation.corrected",
        "citywatch/desk",
        "1.0",
    )
    assert message["time"] == "2026-05-01T12:00:00.000000Z"
    assert message["data"]["corrects_source"] == "drone/4"
    assert message["data"]["corrects_id"] == "17"
    assert message["data"]["violation_code"] == 38
    assert message["data"]["corrected_by"] == "anna"


def test_that_event_coming_back_through_the_engine_is_not_a_second_correction(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    correct(desk)
    (message,) = inbox(desk)
    desk.put_corrections(batch([as_columns(message, NOW)]), now=NOW)
    assert len(desk.history(alert_id(1))) == 1


def test_the_inbox_forgets_what_the_engine_took(desk: Desk) -> None:
    desk.put_facts(table([fact(1), fact(2)]), now=NOW)
    correct(desk)
    upto = desk.take_inbox()[-1][0]
    correct(desk, name=2)
    desk.clear_inbox(upto)
    assert len(desk.take_inbox()) == 1


def test_undo_of_a_correction_is_a_correction_back(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    correct(desk)
    desk.act(alert_id(1), Wish(Action.UNDO, by="anna", channel="cli"), now=NOW + SECOND)
    assert seen(desk) == ("open", None)
    there, back = inbox(desk)
    assert back["data"]["violation_code"] == 46
    assert back["data"]["undoes"] == there["id"]
    desk.put_corrections(batch([as_columns(there, NOW), as_columns(back, NOW + SECOND)]), now=NOW + SECOND)
    assert seen(desk) == ("open", None)


def test_a_desk_that_only_hears_the_events_comes_to_the_same_state(desk: Desk) -> None:
    back = correction("c2", code=46, at=NOW + SECOND, undoes="c1")
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.put_corrections(batch([correction("c1", code=38)]), now=NOW)
    assert seen(desk) == ("closed", "corrected")
    desk.put_corrections(batch([back]), now=NOW)
    assert seen(desk) == ("open", None)


def test_with_several_violations_one_has_to_be_named(desk: Desk) -> None:
    evidence = [event("17", violation_code=46), event("18", violation_code=21)]
    desk.put_facts(table([fact(1, evidence=evidence)]), now=NOW)
    with pytest.raises(AlertError, match="say which one: 17, 18"):
        correct(desk)
    with pytest.raises(AlertError, match="not in the evidence"):
        correct(desk, event=("drone/4", "19"))
    correct(desk, event=("drone/4", "18"))
    assert inbox(desk)[0]["data"]["corrects_id"] == "18"


def test_an_alert_without_a_violation_cannot_be_corrected(desk: Desk) -> None:
    desk.put_facts(table([fact(1, evidence=[event("r1", kind="sensor.reading", value=3.0)])]), now=NOW)
    with pytest.raises(AlertError, match="nothing in the evidence"):
        correct(desk)
    assert seen(desk) == ("open", None)
