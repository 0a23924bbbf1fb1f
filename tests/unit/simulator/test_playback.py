"""Playing a simulation in the pace of a clock, and what may be asked."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from citywatch.errors import SourceError, UsageError
from citywatch.settings import HOUR, MINUTE, SECOND
from citywatch.sources import open_source
from citywatch.sources.simulator.playback import play
from citywatch.sources.simulator.simulation import Simulation, parse, simulation

from .host import START, plan


class Clock:
    """A clock that moves when one sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_live_lines_come_when_they_are_received() -> None:
    clock = Clock()
    for batch in itertools.islice(play(Simulation(plan(seconds=None), 1.0), clock.now, clock.sleep), 100):
        reached = START + int((clock.now() - 1000) * SECOND)
        assert reached - 0.15 * SECOND <= batch.received[-1] <= reached + 1


def test_the_history_comes_at_once() -> None:
    clock = Clock()
    before = 0
    for batch in play(Simulation(plan(seconds=None, history=3600), 1.0), clock.now, clock.sleep):
        if batch.received[0] >= START:
            break
        before += len(batch.lines)
        assert clock.now() == 1000
    assert before > 3000


def test_speed_makes_time_go_faster() -> None:
    clock = Clock()
    count = sum(len(b.lines) for b in play(Simulation(plan(seconds=600), 60.0), clock.now, clock.sleep))
    assert count == sum(len(b.lines) for b in play(Simulation(plan(seconds=600), None)))
    assert 10 <= clock.now() - 1000 <= 20


def test_a_live_line_a_tenth_of_a_second_costs_one_batch() -> None:
    clock = Clock()
    parts = list(itertools.islice(play(Simulation(plan(seconds=None, rate=1000), 1.0), clock.now, clock.sleep), 50))
    assert clock.now() - 1000 >= 4.9
    assert sum(len(part.lines) for part in parts) > 3000


def test_what_was_planted_is_told_once_its_time_has_come() -> None:
    clock = Clock()
    told = []
    for batch in itertools.islice(play(Simulation(plan(seconds=None), 1.0), clock.now, clock.sleep), 300):
        assert all(item.begin <= batch.received[-1] for item in batch.planted)
        told += [item.kind for item in batch.planted]
    assert told[:4] == ["average_speed", "needs_human", "stolen_plate", "reconnaissance"]


def test_the_truth_is_a_line_for_every_incident(tmp_path: Path) -> None:
    [source] = open_source(f"sim://city?duration=1m&truth={tmp_path}/truth.ndjson")
    records = sum(chunk.records.num_rows for chunk in source.chunks())
    rows = [json.loads(line) for line in (tmp_path / "truth.ndjson").read_text().splitlines()]
    assert records > 2900
    assert all(row.keys() == {"kind", "rule", "group", "from", "until", "lat", "lon", "events"} for row in rows)
    [human] = [row for row in rows if row["kind"] == "needs_human"]
    assert human == {
        "kind": "needs_human", "rule": "needs_human", "group": human["events"][0],
        "from": "2026-05-01T12:00:03.000000Z", "until": "2026-05-01T12:00:03.000000Z",
        "lat": human["lat"], "lon": human["lon"], "events": [human["group"]],
    }  # fmt: skip
    assert 40 < human["lat"] < 41


def test_lines_are_numbered_through_all_chunks() -> None:
    [source] = open_source("sim://city?duration=10m&rate=100")
    numbers = [n for chunk in source.chunks() for n in chunk.records["line"].to_pylist()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_with_a_duration_a_simulation_ends_and_is_the_same_on_any_day() -> None:
    asked = parse("sim://city?duration=10m&seed=5&rate=20")
    assert (asked.live, asked.plan.start, asked.plan.duration, asked.speed) == (False, START, 10 * MINUTE, None)
    assert open_source("sim://city?duration=10m")[0].bounded


def test_without_a_duration_it_is_live_and_begins_now() -> None:
    asked = parse("sim://cctv?history=1h")
    assert (asked.live, asked.speed, asked.plan.history) == (True, 1.0, HOUR)
    assert asked.plan.start > START
    assert not open_source("sim://cctv")[0].bounded


def test_a_start_in_another_zone_is_the_same_instant() -> None:
    assert parse("sim://city?duration=1m&start=2026-05-01T08:00:00-04:00").plan.start == START


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("sim://town", "there is no simulated 'town' (known: city, cctv, sensors, drones)"),
        ("sim://city?rat=5", "unknown option 'rat' (known: rate"),
        ("sim://city?rate=0", "rate: '0' is not a number from 1 to 200000"),
        ("sim://city?rate=nan", "rate: 'nan' is not a number"),
        ("sim://city?seed=1.5", "seed: '1.5' is not a whole number"),
        ("sim://city?duration=10", "duration: '10' is no duration"),
        ("sim://city?start=yesterday", "start: 'yesterday' is no instant (write it like 2026-05-01T12:00:00Z, or now)"),
        ("sim://city?start=2026-05-01T12:00:00", "is no instant"),
        ("sim://city?speed=-1", "speed: '-1' is not a number"),
        ("sim://city?history=x", "history: 'x' is no duration"),
    ],
)
def test_what_cannot_be_simulated_is_said(address: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(address)
    assert complaint in str(error.value)


def test_a_truth_file_that_cannot_be_written_is_an_error_of_the_source(tmp_path: Path) -> None:
    [source] = open_source(f"sim://city?duration=1m&truth={tmp_path}/nowhere/truth.ndjson")
    with pytest.raises(SourceError, match=r"cannot write .*truth\.ndjson: No such file or directory"):
        next(iter(source.chunks()))


def test_options_are_texts_as_on_the_command_line() -> None:
    assert simulation("city", {"rate": "5", "duration": "1m"}).plan.rate == 5
