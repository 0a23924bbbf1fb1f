"""What the simulated city prints."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from citywatch.records.chunk import Parsed
from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator.city import WORLDS, batches, cut
from citywatch.sources.simulator.drones import Violations, violation_plates
from citywatch.sources.simulator.traffic import Tickets, plates

from .host import START, parsed, plan


def lines(seconds: int = 60, **more: Any) -> list[str]:
    return [line for batch in batches(plan(seconds=seconds, **more)) for line in map(str, batch.lines.to_pylist())]


def events(seconds: int, **more: Any) -> list[dict[str, Any]]:
    """The whole events, each once, in the order of their first receipt."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines(seconds, **more):
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if "source" in event and not event["time"].startswith("on") and event["data"].get("lat", 0) < 90:
                found.setdefault((event["source"], event["id"]), event)
    return list(found.values())


def test_the_same_seed_gives_the_same_lines() -> None:
    assert lines(seed=7) == lines(seed=7)


def test_another_seed_gives_other_events_with_other_ids() -> None:
    ids = [{event["id"] for event in events(20, seed=seed)} for seed in (1, 2)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("size", [1, 97, 5000])
def test_the_size_of_batches_changes_no_line(size: int) -> None:
    parts = list(cut(batches(plan(seconds=40)), size))
    assert [line for part in parts for line in part.lines.to_pylist()] == lines(40)
    assert all(len(part.lines) == size for part in parts[:-1])
    assert [p for part in parts for p in part.planted] == [p for b in batches(plan(seconds=40)) for p in b.planted]


def test_a_longer_run_begins_with_the_same_events() -> None:
    short, long = set(lines(30)), set(lines(60))
    assert short <= long


def test_lines_come_in_the_order_of_their_receipt() -> None:
    received = np.concatenate([batch.received for batch in batches(plan(seconds=300, history=3600))])
    assert (np.diff(received) >= 0).all()


@pytest.mark.parametrize("rate", [1, 50, 3000])
def test_the_rate_is_that_of_the_events(rate: int) -> None:
    seconds = 6000 // rate + 10
    count = sum(len(batch.lines) for batch in batches(plan("sensors", seconds=seconds, rate=rate)))
    assert count == pytest.approx(rate * seconds, rel=0.02, abs=5)


def test_a_world_holds_its_own_types_only() -> None:
    def types(world: str) -> set[str]:
        return {event["type"] for event in events(120, world=world)}

    assert types("sensors") == {"sensor.reading"}
    assert types("drones") == {"drone.position", "drone.violation", "violation.image", "device.status"}
    assert types("cctv") == {"anpr.read", "camera.event", "person.report", "device.status"}


@pytest.mark.parametrize("world", WORLDS)
def test_every_line_that_is_not_broken_on_purpose_is_an_event(world: str) -> None:
    parts = list(parsed(f"sim://{world}?duration=2m"))
    rejected = [line for part in parts for line in part.rejected.to_pylist()]
    read = sum(part.read for part in parts)
    assert len(rejected) <= read * 0.002 + 3
    assert read == len(lines(120, world=world))


@cache
def ten_minutes() -> list[Parsed]:
    return list(parsed("sim://city?duration=10m"))


def test_some_lines_are_rejected_each_for_its_reason() -> None:
    reasons = Counter(
        line["reason"].split(":")[0].split(" is ")[0] for part in ten_minutes() for line in part.rejected.to_pylist()
    )
    assert {"not JSON", "source", "time", "precinct"} <= set(reasons)


def test_some_events_come_late_and_some_twice() -> None:
    parts = ten_minutes()
    events = pa.concat_tables([part.events for part in parts])
    late = int(np.sum(events["late"].to_numpy()))
    distinct = len(set(zip(events["source"].to_pylist(), events["id"].to_pylist(), strict=True)))
    assert 0.0005 < late / len(events) < 0.005
    assert 0.001 < 1 - distinct / len(events) < 0.01


def test_received_is_after_the_event_and_usually_within_seconds() -> None:
    delays = [np.datetime64(e["receivedat"][:-1]) - np.datetime64(e["time"][:-1]) for e in events(60)]
    assert min(delays) > np.timedelta64(0, "ms")
    assert sorted(delays)[len(delays) // 2] < np.timedelta64(1, "s")


def test_events_are_out_of_order_by_a_little() -> None:
    events = pa.concat_tables([part.events for part in parsed("sim://city?duration=1m")])
    times = events["time"].cast(pa.int64()).to_numpy()
    assert (np.diff(times) < 0).any()


def test_one_violation_in_a_hundred_needs_a_human() -> None:
    assert Violations(1, 10.0, 0, 1).unclear(np.arange(200_000)).mean() == pytest.approx(0.01, rel=0.1)
    found = [event["data"] for event in events(600, world="drones", images=0) if event["type"] == "drone.violation"]
    assert all(("violation_code" in data) != bool(data.get("needs_human")) for data in found)
    assert any(data.get("needs_human") for data in found)


def test_batteries_fall_and_are_changed() -> None:
    charges: dict[str, list[float]] = {}
    for event in sorted(events(3600, world="drones", rate=5, images=0), key=lambda event: event["time"]):
        if event["type"] == "drone.position" and len(event["data"]["device_id"]) < 4:
            charges.setdefault(event["data"]["device_id"], []).append(event["data"]["battery"])
    for charge in charges.values():
        steps = np.diff(charge)
        assert (steps < 0.5).sum() > 0.9 * len(steps)
        assert (steps > 50).any()
        assert 7.9 <= min(charge) < 20


def test_no_plate_is_at_two_places_too_far_apart_by_chance() -> None:
    """At the legal 80 km/h from one reader to the next; what is planned has plates of its own."""
    seen: dict[str, list[tuple[np.datetime64, float, float]]] = {}
    for event in events(600, world="cctv"):
        data = event["data"]
        if event["type"] == "anpr.read" and data["plate"] < "S":
            seen.setdefault(data["plate"], []).append((np.datetime64(event["time"][:-1]), data["lat"], data["lon"]))
    legs = 0
    for reads in seen.values():
        reads.sort()
        for (t, lat, lon), (t2, lat2, lon2) in itertools.pairwise(reads):
            km = np.hypot((lat2 - lat) * 111.2, (lon2 - lon) * 84.4)
            hours = (t2 - t) / np.timedelta64(1, "h")
            legs += 1
            assert km <= 80 * hours
    assert legs > 500


def test_no_vehicle_gets_a_second_ticket_by_chance_in_however_large_a_city() -> None:
    bodies = Tickets(1, rate=200).between(START, START + 5 * MINUTE).bodies
    ticketed = [json.loads(f"{body}}}")["data"]["plate"] for body in bodies.to_pylist()]
    assert len(ticketed) == pytest.approx(200 * 300, rel=0.01)
    assert len(set(ticketed)) == len(ticketed)


def test_history_comes_before_the_start_and_the_rate_after_it() -> None:
    received = np.concatenate([batch.received for batch in batches(plan(seconds=60, history=7200))])
    before = (received < START).sum()
    assert before == pytest.approx(7200, rel=0.2)
    assert (received >= START).sum() == pytest.approx(3000, rel=0.2)
    assert received[0] < START - 7200 * SECOND + MINUTE


def test_a_thin_history_has_its_violations_all_over_the_city() -> None:
    seen = [event for event in events(1, history=7200) if event["type"] == "drone.violation"]
    places = {event["data"]["address"] for event in seen}
    assert len(seen) > 50
    assert len(places) > len(seen) / 3


def test_neighbours_in_number_have_plates_far_apart() -> None:
    for plates_of in (plates, violation_plates):
        texts = [str(plate) for plate in plates_of(np.arange(2_000)).to_pylist()]
        assert len(set(texts)) == len(texts)
        assert sum(first[:3] == second[:3] for first, second in itertools.pairwise(texts)) < 5
