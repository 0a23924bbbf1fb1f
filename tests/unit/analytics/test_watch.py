"""Persons, messages, alerts, devices and places."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.analytics.conftest import Fill, ask, events, left_out, run

RULES = """
title: A person with a high score
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11
name: high_score
status: experimental
level: high
logsource: {category: person.report}
where: dangerosity > 50
---
title: A drone asks
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a12
name: asks
status: experimental
level: medium
logsource: {category: drone.violation}
where: needs_human
"""


def report(number: int, person: str | None, hour: int, **fields: Any) -> Mapping[str, Any]:
    time = {"time": f"2026-05-01T{hour:02}:30:00-04:00"}
    return {"type": "person.report", "source": "watch", "id": f"r{number}", "person_id": person, **time, **fields}


REPORTS = [
    report(1, "p1", 3, age=20, behaviors=["Smile", "Hug", "Smile"], dangerosity=10),
    report(2, "p1", 7, age=21, behaviors=["Hug", "Loitering"], dangerosity=60),
    report(3, "p2", 7, age=40, behaviors=["Hug"], dangerosity=70),
    report(4, "p2", 13, behaviors=[], dangerosity=1),
    report(5, "p2", 19, dangerosity=1),
    report(6, "p3", 23, age=70, behaviors=["Carry Weapon"], dangerosity=5),
    report(7, None, 23, age=30, behaviors=["Graffiti"], dangerosity=80),
    {**report(8, "p3", 23, age=70, dangerosity=5), "timeprecision": "day"},
]
DRONES = [
    {
        "type": "drone.position",
        "time": "2026-05-01T10:00:00Z",
        "device_id": "d1",
        "device_kind": "drone",
        "battery": 80,
    },
    {"type": "drone.position", "time": "2026-05-01T11:00:00Z", "device_id": "d1", "battery": 60, "temperature": 20},
    {"type": "drone.violation", "time": "2026-05-01T12:00:00Z", "device_id": "d2", "needs_human": True, "precinct": 14},
    {
        "type": "drone.violation",
        "time": "2026-05-01T12:30:00Z",
        "device_id": "d2",
        "violation_code": 46,
        "precinct": 14,
    },
    {"type": "drone.violation", "time": "2026-05-01T13:00:00Z", "device_id": "d3", "needs_human": True},
]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("watch") / "data"
    run(data, events(data.with_suffix(".ndjson"), [*REPORTS, *DRONES]), rules=RULES)
    return data


def test_mean_age_takes_each_person_once_as_last_reported(watch: Path) -> None:
    answer = ask(watch, "mean-age")
    assert answer["rows"] == [
        {"population": "reported", "persons": 4, "mean_age": (21 + 40 + 70 + 30) / 4},
        {"population": "in_alerts", "persons": 3, "mean_age": (21 + 40 + 30) / 3},
    ]
    assert left_out(answer) == {"no_age": 2}


def test_repeat_persons_have_several_reports(watch: Path) -> None:
    answer = ask(watch, "repeat-persons")
    assert answer["rows"] == [
        {"person_id": "p2", "count": 3},
        {"person_id": "p1", "count": 2},
        {"person_id": "p3", "count": 2},
    ]
    assert left_out(answer) == {"no_person_id": 1}
    assert ask(watch, "repeat-persons", "--top", "1")["rows"] == [{"person_id": "p2", "count": 3}]
    early = ask(watch, "repeat-persons", "--to", "2026-05-01T20:00")
    assert left_out(early) == {}


def test_reports_by_timeframe_are_in_the_citys_time(watch: Path) -> None:
    answer = ask(watch, "reports-by-timeframe")
    counts = {row["timeframe"]: row["count"] for row in answer["rows"]}
    assert counts == {"night": 1, "morning": 2, "afternoon": 1, "evening": 3}
    assert left_out(answer) == {"no_time_of_day": 1}


def test_a_report_counts_once_for_each_of_its_behaviors(watch: Path) -> None:
    answer = ask(watch, "reports-by-behavior")
    assert answer["rows"][0] == {"behavior": "Hug", "count": 3, "share": 3 / 5}
    counts = {row["behavior"]: row["count"] for row in answer["rows"]}
    assert counts == {"Hug": 3, "Smile": 1, "Loitering": 1, "Carry Weapon": 1, "Graffiti": 1}
    assert left_out(answer) == {"no_behaviors": 3}


def test_messages_say_how_many_of_them_raised_alerts(watch: Path) -> None:
    rows = {row["type"]: row for row in ask(watch, "messages")["rows"]}
    assert {name: (row["count"], row["alerts"]) for name, row in rows.items()} == {
        "person.report": (8, 3),
        "drone.violation": (3, 2),
        "drone.position": (2, 0),
    }
    assert rows["drone.violation"]["alert_share"] == pytest.approx(2 / 3)
    assert rows["person.report"]["share"] == pytest.approx(8 / 13)
    by_device = ask(watch, "messages", "--by", "device_id")
    assert {row["device_id"]: (row["count"], row["alerts"]) for row in by_device["rows"]} == {
        "d1": (2, 0),
        "d2": (2, 1),
        "d3": (1, 1),
    }
    assert left_out(by_device) == {"no_device_id": 8}
    drones = ask(watch, "messages", "--by", "drone")
    assert {row["drone"]: row["count"] for row in drones["rows"]} == {"d1": 2, "d2": 2, "d3": 1}, "also without a kind"
    assert left_out(drones) == {"no_drone": 8}
    assert ask(watch, "messages", "--by", "camera")["rows"] == []


def test_alerts_are_counted_by_rule_level_or_time(watch: Path) -> None:
    assert ask(watch, "alerts")["rows"] == [
        {"rule": "high_score", "count": 3, "share": 0.6},
        {"rule": "asks", "count": 2, "share": 0.4},
    ]
    levels = {row["level"]: row["count"] for row in ask(watch, "alerts", "--by", "level")["rows"]}
    assert levels == {"high": 3, "medium": 2}
    hours = {row["local_hour"]: row["count"] for row in ask(watch, "alerts", "--by", "local_hour")["rows"]}
    assert hours == {7: 2, 8: 1, 9: 1, 23: 1}
    assert ask(watch, "alerts", "--from", "2026-05-01T20:00")["rows"] == [
        {"rule": "high_score", "count": 1, "share": 1.0}
    ]


def test_the_fleet_shows_the_oldest_last_word_first(watch: Path) -> None:
    answer = ask(watch, "fleet")
    assert answer["rows"] == [
        {
            "device_id": "d1",
            "last_seen": "2026-05-01T11:00:00.000000Z",
            "battery": 70.0,
            "temperature": 20.0,
            "events": 2,
        },
        {
            "device_id": "d2",
            "last_seen": "2026-05-01T12:30:00.000000Z",
            "battery": None,
            "temperature": None,
            "events": 2,
        },
        {
            "device_id": "d3",
            "last_seen": "2026-05-01T13:00:00.000000Z",
            "battery": None,
            "temperature": None,
            "events": 1,
        },
    ]
    assert left_out(answer) == {"no_device_id": 8}


def test_the_safety_watchers_four_numbers_stand_on_one_page(watch: Path) -> None:
    found: dict[int, list[tuple[str, float]]] = {}
    for row in ask(watch, "safety-watcher")["rows"]:
        found.setdefault(row["number"], []).append((row["part"] or row["person_id"], row["value"]))
    assert found[1] == [("all", 5)]
    assert found[2] == [("reported", 40.25), ("in_alerts", pytest.approx(91 / 3))]
    assert found[3] == [("p2", 3), ("p1", 2), ("p3", 2)]
    assert found[4] == [("night", 1), ("morning", 2), ("afternoon", 1), ("evening", 3)]


def test_top_places_are_addresses_or_streets(fill: Fill) -> None:
    at = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z"}
    data = fill(
        [
            {**at, "address": "12 3rd Ave", "street": "3rd Ave"},
            {**at, "address": "12 3rd Ave", "street": "THIRD AVENUE"},
            {**at, "address": "14 3 Ave", "street": "3 AV"},
            {**at, "address": "1 Broadway", "street": "Broadway"},
            {**at},
        ]
    )
    addresses = ask(data, "top-places", "--top", "1")
    assert addresses["rows"] == [{"address": "12 3rd Ave", "count": 2, "share": 0.5}]
    assert left_out(addresses) == {"no_address": 1}
    streets = ask(data, "top-places", "--by", "street")["rows"]
    assert streets == [
        {"street": "3 AVE", "count": 3, "share": 0.75},
        {"street": "BROADWAY", "count": 1, "share": 0.25},
    ]
