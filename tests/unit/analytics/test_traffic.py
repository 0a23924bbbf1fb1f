"""Speeds, failures of devices, fines by ZIP code: against figures worked out by hand."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.analytics.conftest import Fill, ask, left_out

NOON = datetime.fromisoformat("2026-05-01T12:00:00+00:00")
KM_PER_DEGREE = math.pi * 6371.0088 / 180


def read(second: float, plate: str | None, camera: str | None, north_km: float | None = 0.0, **fields: Any) -> Any:
    """A read of a plate by a camera that stands so far north of a place."""
    lat = None if north_km is None else 40.0 + north_km / KM_PER_DEGREE
    place = {"lat": lat, "lon": -73.9, "device_id": camera, "plate": plate}
    return {"type": "anpr.read", "time": (NOON + timedelta(seconds=second)).isoformat(), **place, **fields}


def test_speed_at_a_point_has_mean_median_and_90th_percentile(fill: Fill) -> None:
    speeds = [30, 40, 50, 60, 70]
    reads = [read(n, f"K{n}", "a", speed_kmh=float(speed), street="Main St") for n, speed in enumerate(speeds)]
    reads += [read(9, "K9", "b", speed_kmh=20.0), read(10, "K9", "b"), read(11, "K9", None, speed_kmh=99.0)]
    drone = {**read(12, None, "d", speed_kmh=300.0), "type": "drone.position"}
    data = fill([*reads, drone])
    answer = ask(data, "speed-at-points")
    assert answer["rows"] == [
        {"device_id": "a", "count": 5, "mean_kmh": 50, "median_kmh": 50, "p90_kmh": 66, "max_kmh": 70},
        {"device_id": "b", "count": 1, "mean_kmh": 20, "median_kmh": 20, "p90_kmh": 20, "max_kmh": 20},
    ]
    assert left_out(answer) == {"no_speed_kmh": 1, "no_device_id": 1}
    by_street = ask(data, "speed-at-points", "--by", "street", "--top", "1")
    assert [(row["street"], row["count"]) for row in by_street["rows"]] == [("MAIN ST", 5)]
    assert left_out(by_street) == {"no_speed_kmh": 1, "no_street": 2}


def test_speed_between_cameras_takes_each_read_with_the_one_before_it(fill: Fill) -> None:
    reads = [
        read(0, "K1", "a", 0),
        read(100, "K1", "b", 1),  # 1 km in 100 s: 36 km/h
        read(200, "K1", "c", 4),  # 3 km in 100 s: 108 km/h
        read(50, "K2", "a", 0),
        read(90, "K2", "b", 1),  # 1 km in 40 s: 90 km/h
        read(95, "K2", "b", 1),  # once more
        read(95, "K2", "c", 4),  # at the same moment, at another camera
        read(0, "K3", "a", 0),
        read(1900, "K3", "b", 1),  # more than half an hour later
        read(1905, "K3", "c", 4),  # 3 km in 5 s
        read(7, None, "a"),
        read(8, "K4", None),
        read(9, "K5", "z", None),
    ]
    answer = ask(fill(reads), "speed-between-cameras")
    [first, second] = answer["rows"]
    assert (first["from_device"], first["to_device"], first["count"]) == ("a", "b", 2)
    assert first["distance_km"] == pytest.approx(1)
    assert [first[name] for name in ("mean_kmh", "median_kmh", "p90_kmh", "max_kmh")] == pytest.approx(
        [63, 63, 36 + 0.9 * 54, 90]
    )
    assert (second["from_device"], second["to_device"], second["count"]) == ("b", "c", 1)
    assert second["p90_kmh"] == pytest.approx(108)
    assert left_out(answer) == {
        "first_of_a_trip": 4,
        "same_camera_again": 1,
        "at_the_same_moment": 1,
        "impossibly_fast": 1,
        "no_plate": 1,
        "no_device_id": 1,
        "no_position": 1,
    }
    counted = sum(row["count"] for row in answer["rows"])
    assert counted + sum(left_out(answer).values()) == len(reads), "every read is counted or named"


def test_failures_are_serious_statuses_by_device(fill: Fill) -> None:
    def status(minute: int, device: str | None, severity: int | None, label: str) -> dict[str, Any]:
        time = (NOON + timedelta(minutes=minute)).isoformat()
        return {"type": "device.status", "time": time, "device_id": device, "severity": severity, "label": label}

    data = fill(
        [
            status(0, "d1", 3, "rotor"),
            status(1, "d1", 5, "battery"),
            status(2, "d1", 4, "rotor"),
            status(3, "d1", 2, "dust"),
            status(4, "d2", None, "ok"),
            status(5, None, 5, "rotor"),
        ]
    )
    answer = ask(data, "failures")
    assert answer["rows"][0] == {
        "device_id": "d1",
        "device_kind": None,
        "failures": 3,
        "kinds": 2,
        "most_often": "rotor",
        "last_failure": "2026-05-01T12:02:00.000000Z",
        "events": 4,
    }
    assert (answer["rows"][1]["failures"], answer["rows"][1]["last_failure"]) == (0, None)
    assert left_out(answer) == {"no_device_id": 1}


def test_fines_by_zip_code_and_for_each_inhabitant(fill: Fill) -> None:
    at = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "violation_code": 38}
    data = fill(
        [
            {**at, "address": "1 Broadway, New York, NY 10004", "precinct": 1},
            {**at, "address": "2 Broadway, New York, NY 10004-1234 ", "precinct": 1},
            {**at, "address": "3 Broadway 10004", "precinct": 43, "zones": ["school", "10463"]},
            {**at, "address": "907 W 91th St", "precinct": 1},
            {**at, "address": "4 Broadway 10004", "precinct": 22},
            {**at, "address": "5 Broadway 10004", "precinct": 1, "violation_code": None},
        ]
    )
    answer = ask(data, "revenue-by-zip")
    unknown = {"inhabitants": None, "revenue_per_head": None}
    assert answer["rows"] == [
        {"zip": "10004", "count": 2, "share": 2 / 3, "revenue": 130, **unknown},
        {"zip": "10463", "count": 1, "share": 1 / 3, "revenue": 35, **unknown},
    ]
    assert left_out(answer) == {"no_zip": 1, "precinct_on_both_sides_of_96th_street": 1, "no_violation_code": 1}
    (data / "population.csv").write_text("zip,population\n10004,1300\n01001,5\n")
    assert [(row["inhabitants"], row["revenue_per_head"]) for row in ask(data, "revenue-by-zip")["rows"]] == [
        (1300, 0.1),
        (None, None),
    ]
