"""The names and columns that other programs rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.analytics.dimensions import dimensions
from citywatch.analytics.question import questions
from tests.unit.analytics.conftest import Fill, ask

COUNTED = ("count", "share")
RELIED_ON = {
    "messages": ("type", *COUNTED, "alerts", "alert_share"),
    "alerts": ("rule", *COUNTED),
    "tickets-by-code": ("violation_code", *COUNTED),
    "tickets-by-month": ("month", *COUNTED),
    "tickets-by-weekday": ("local_weekday", *COUNTED),
    "tickets-by-hour": ("local_hour", *COUNTED),
    "tickets-by-timeframe": ("timeframe", *COUNTED),
    "tickets-by-precinct": ("precinct", *COUNTED),
    "tickets-by-borough": ("borough", *COUNTED),
    "tickets-by-street": ("street", *COUNTED),
    "tickets-by-state": ("plate_state", *COUNTED),
    "tickets-by-plate": ("plate", *COUNTED),
    "tickets-by-make": ("vehicle_make", *COUNTED),
    "tickets-by-color": ("vehicle_color", *COUNTED),
    "revenue-by-code": (
        "violation_code",
        *COUNTED,
        "fine_manhattan",
        "fine_elsewhere",
        "revenue",
        "revenue_average_fine",
    ),
    "week-and-weekend": ("part", "days", "count", "per_day"),
    "summer": ("period", "count"),
    "mean-age": ("population", "persons", "mean_age"),
    "repeat-persons": ("person_id", "count"),
    "reports-by-timeframe": ("timeframe", *COUNTED),
    "reports-by-behavior": ("behavior", *COUNTED),
    "fleet": ("device_id", "last_seen", "battery", "temperature", "events"),
    "top-places": ("address", *COUNTED),
    "data-quality": ("check", "rows", "share"),
}

EVERYTHING = [
    {
        "type": "ticket.issued",
        "time": "2026-07-04T10:00:00Z",
        "violation_code": 21,
        "precinct": 14,
        "borough": "Manhattan",
        "street": "3rd Ave",
        "address": "12 3rd Ave",
        "plate": "AB12",
        "plate_state": "NY",
        "vehicle_make": "FORD",
        "vehicle_color": "WH",
    },
    *(
        {
            "type": "person.report",
            "time": "2026-07-04T10:00:00Z",
            "person_id": "p",
            "device_id": "d",
            "age": 30,
            "behaviors": ["Hug"],
        }
        for _ in range(2)
    ),
]


@pytest.mark.parametrize("name", RELIED_ON)
def test_names_and_columns_are_as_the_contract_says(name: str, fill: Fill) -> None:
    answer = ask(fill(EVERYTHING), name)
    if name != "alerts":
        assert tuple(answer["rows"][0]) == RELIED_ON[name]
    assert tuple(questions()[name].columns) == RELIED_ON[name]
    assert set(answer) == {"name", "rows", "excluded"}


def test_a_question_is_found_because_its_module_is_there() -> None:
    folder = Path(__file__).parents[3] / "src" / "citywatch" / "analytics" / "questions"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {question.ask.__module__.rsplit(".", 1)[-1] for question in questions().values()} == modules


def test_every_question_says_what_it_counts_and_leaves_out() -> None:
    for question in questions().values():
        assert question.title
        assert question.definition.endswith(".")
        assert all(question.columns.values())
        assert all(question.exclusions.values())
        assert set(question.by) <= set(dimensions()) | {
            *"rule level status state outcome assignee priority hour".split()
        }


@pytest.mark.parametrize("by", sorted(dimensions()))
def test_messages_can_be_counted_by_every_field(by: str, fill: Fill) -> None:
    answer = ask(fill(EVERYTHING), "messages", "--by", by)
    assert sum(row["count"] for row in answer["rows"]) + sum(left["rows"] for left in answer["excluded"]) == 3
