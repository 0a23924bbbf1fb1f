"""Corrected codes count, the replaced ones do not; time and place are those of the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.analytics.conftest import Fill, ask, left_out

TICKET = {"type": "ticket.issued", "source": "nyc/tickets"}


def ticket(number: str, code: int | None, **fields: Any) -> Mapping[str, Any]:
    return {**TICKET, "id": number, "time": "2026-07-04T12:00:00Z", "violation_code": code, "precinct": 14, **fields}


def correction(
    number: str, target: str, code: int | None, time: str, source: str = "desk/1", **fields: Any
) -> Mapping[str, Any]:
    corrects = {"corrects_source": "nyc/tickets", "corrects_id": target, **fields}
    return {
        "type": "violation.corrected",
        "source": source,
        "id": number,
        "time": time,
        "violation_code": code,
        **corrects,
    }


def codes(answer: Mapping[str, Any]) -> dict[int, int]:
    return {row["violation_code"]: row["count"] for row in answer["rows"]}


def test_the_last_correction_by_time_source_and_id_counts(fill: Fill) -> None:
    data = fill(
        [
            ticket("a", 21),
            ticket("b", 21),
            ticket("c", 21),
            ticket("d", 36),
            correction("1", "a", 40, "2026-08-01T00:00:02Z"),
            correction("2", "a", 46, "2026-08-01T00:00:01Z"),
            correction("3", "b", 14, "2026-08-01T00:00:01Z", source="desk/1"),
            correction("3", "b", 16, "2026-08-01T00:00:01Z", source="desk/2"),
            correction("9", "c", 14, "2026-08-01T00:00:01Z"),
            correction("10", "c", 16, "2026-08-01T00:00:01Z"),
        ]
    )
    assert codes(ask(data, "tickets-by-code")) == {40: 1, 16: 1, 14: 1, 36: 1}
    revenue = {row["violation_code"]: row["revenue"] for row in ask(data, "revenue-by-code")["rows"]}
    assert revenue == {40: 115, 16: 95, 14: 115, 36: 50}


def test_a_correction_back_undoes(fill: Fill) -> None:
    data = fill(
        [
            ticket("a", 21),
            correction("1", "a", 40, "2026-08-01T00:00:01Z"),
            correction("2", "a", 21, "2026-08-01T00:00:02Z"),
        ]
    )
    assert codes(ask(data, "tickets-by-code")) == {21: 1}


def test_a_correction_of_an_unknown_event_is_left_out_by_name(fill: Fill) -> None:
    data = fill(
        [
            ticket("a", 21),
            correction("1", "z", 40, "2026-08-01T00:00:01Z"),
            correction("2", "a", 46, "2026-09-01T00:00:01Z", corrects_source="elsewhere"),
        ]
    )
    answer = ask(data, "tickets-by-code")
    assert codes(answer) == {21: 1}
    assert left_out(answer) == {"correction_of_unknown_event": 2}
    assert left_out(ask(data, "tickets-by-code", "--to", "2026-08-15")) == {"correction_of_unknown_event": 1}
    assert left_out(ask(data, "tickets-by-month")) == {}


def test_time_and_place_are_those_of_the_original(fill: Fill) -> None:
    data = fill([ticket("a", 21), correction("1", "a", 40, "2026-08-01T00:00:01Z", precinct=50)])
    july = ask(data, "tickets-by-code", "--by", "precinct", "--from", "2026-07-01", "--to", "2026-08-01")
    assert july["rows"] == [{"precinct": 14, "violation_code": 40, "count": 1, "share": 1.0}]


def test_violations_are_tickets_and_drone_violations_that_have_a_code_after_corrections(fill: Fill) -> None:
    drone = {"type": "drone.violation", "source": "nyc/tickets", "time": "2026-07-04T12:00:00Z"}
    data = fill(
        [
            ticket("a", 21),
            ticket("b", None),
            {**drone, "id": "qualified", "violation_code": 46},
            {**drone, "id": "asks", "needs_human": True},
            {**drone, "id": "never answered", "needs_human": True},
            {"type": "drone.position", "source": "drone/1", "id": "p", "time": "2026-07-04T12:00:00Z"},
            correction("1", "asks", 40, "2026-07-05T00:00:01Z"),
        ]
    )
    answer = ask(data, "tickets-by-code", "--type", "violations")
    assert codes(answer) == {21: 1, 40: 1, 46: 1}
    assert left_out(answer) == {"no_violation_code": 2}
    month = ask(data, "tickets-by-month", "--type", "violations")
    assert month["rows"] == [{"month": "2026-07", "count": 3, "share": 1.0}]
    assert left_out(month) == {"no_violation_code": 2}
    parts = {row["part"]: row["count"] for row in ask(data, "with-and-without-code")["rows"]}
    assert parts == {"with_code": 3, "without_code": 3}
    drones = ask(data, "tickets-by-code", "--type", "drone.violation", "--type", "ticket.issued")
    assert codes(drones) == {21: 1, 40: 1, 46: 1}
