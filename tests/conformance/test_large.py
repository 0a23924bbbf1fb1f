"""Hours of many keys: long enough for the engine to settle, prune and drop what it kept, which small cases never do.

No search: a few large cases, made from numbers, with one rule of each type.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.conformance.cases import After, Case, Document, Item, when
from tests.conformance.command_line import BackTest
from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, Shard, StepAlone
from tests.conformance.examples import BASE, document
from tests.conformance.loading import load
from tests.conformance.profiles import PROFILE
from tests.conformance.spark_stages import SparkStages
from tests.conformance.strategies import LISTS, POLYGONS, SECOND
from tests.oracle import Settings, duration, evaluate

EVENTS = 1_600
PLATES = 60
LASTS = duration("2h")
PLACES = [(40.58, -74.10), (40.581, -74.10), (40.87, -73.87)]

BY_PLATE: dict[str, dict[str, Any]] = {
    "event_count": {"condition": {"gte": 2}},
    "value_count": {"condition": {"field": "label", "gte": 2}},
    "flatline": {},
    "spike": {"spike_height": 1.5},
    "new_terms": {"field": "device_id"},
    "change": {"field": "label"},
    "dwell": {"max_gap": "2m"},
    "impossible_travel": {"max_speed_kmh": 500, "min_distance_km": 1},
    "temporal": {"rules": ["p0", "p1"]},
    "temporal_ordered": {"rules": ["p0", "p1"]},
    "absence": {"rules": ["p0", "p1"]},
}


def rules() -> tuple[Document, ...]:
    """A correlation of each type, the plain rules that some name, and a count that is known when complete."""
    few = {"type": "event_count", "group-by": ["plate"], "timespan": "2m", "condition": {"lte": 1}}
    found = [document({"name": f"p{n}", "where": f"label = '{label}'"}) for n, label in enumerate("ab")]
    found.append(document({"name": "few", "correlation": few, "suppression": {"duration": "10m"}}))
    found.append(document({"name": "all", "suppression": {"group-by": ["plate"], "duration": "3m"}}))
    for type_, more in BY_PLATE.items():
        correlation = {"type": type_, "group-by": ["plate"], "timespan": "2m", **more}
        base = {"where": "NOT label = 'c'"} if type_ == "dwell" else {}
        found.append(document({"name": type_, **base, "correlation": correlation}))
    return tuple(found)


def case(number: int) -> Case:
    """The case of this number, always the same."""
    chance = Random(number)  # noqa: S311 - the same in every run, no secret
    limits = Settings(lists=LISTS, polygons=POLYGONS)
    placed: list[tuple[int, Item]] = [item for n in range(EVENTS) for item in _record(chance, n, limits)]
    items = tuple(item for _, item in sorted(placed, key=lambda pair: pair[0]))
    cuts = {chance.randrange(1, len(items)): chance.choice(list(After)) for _ in range(6)}
    return Case(rules(), items, limits, BASE + LASTS + duration("1h"), cuts, shards=1 + number)


def _record(chance: Random, number: int, limits: Settings) -> list[tuple[int, Item]]:
    """A record and the place in the reading order it asks for: some late, some sent again an hour later."""
    time = BASE + LASTS * number // EVENTS // SECOND * SECOND
    received = time + chance.choice([0, 0, 0, 0, SECOND, 30 * SECOND, limits.lateness, limits.lateness + 1])
    lat, lon = chance.choice(PLACES)
    # Rare plates and frequent ones, so that keys come and go.
    plate = f"K{int(PLATES * chance.random() ** 2)}"
    data = {"plate": plate, "label": chance.choice("aabc"), "device_id": chance.choice("vwxyz"), "lat": lat, "lon": lon}
    record = {"specversion": "1.0", "id": str(number * 7919 % 9973), "source": "s", "type": "anpr.read", "data": data}
    record |= {"time": when(time), "receivedat": when(received)}
    slack = chance.choice([0, 0, limits.disorder])
    again = [(received + duration("1h"), record | {"receivedat": when(received + duration("1h"))})]
    return [(received + slack, record), *(again if chance.random() < 0.03 else [])]


@pytest.mark.skipif(PROFILE == "quick", reason="the quick profile has small cases only")
def test_every_type_finds_much() -> None:
    outcome = evaluate(case(0).rules, case(0).items, case(0).settings, case(0).clock)
    found = [alert.rule for alert in outcome.alerts]
    assert {name: found.count(name) >= 10 for name in BY_PLATE} == dict.fromkeys(BY_PLATE, True)
    assert outcome.counts.duplicates >= 30
    assert outcome.counts.late >= 150


def test_it_is_long_enough_for_names_and_slices_of_the_state_to_be_forgotten(tmp_path: Path) -> None:
    cut = replace(case(0), cuts=dict.fromkeys(range(0, EVENTS, 400), After.GO_ON))
    shard = Shard(cut, load(cut, tmp_path / "rules"), tmp_path / "0.duckdb", (0, 1))
    shard.run()
    assert shard.step.state.slices()[0][0] > 2, "no slice was dropped"
    assert len(shard.step._names._refs) < EVENTS // 2, "no name was forgotten"


RUNS = [(StepAlone, 0), (StepAlone, 1), (BackTest, 0), (SparkStages, 2)]
"""A back-test leaves a run behind and compares itself with it; its batches are those of files, and it has no shards."""


@pytest.mark.skipif(PROFILE == "quick", reason="the quick profile has small cases only")
@pytest.mark.parametrize(("engine", "number"), [pytest.param(e, n, id=f"{e.name} {n}") for e, n in RUNS])
def test_the_engine_agrees_with_the_contract(engine: type[Engine], number: int, tmp_path: Path) -> None:
    large = engine().reading(case(number))
    if wrong := verdict(engine, large, engine().run(large, tmp_path)):
        pytest.fail(wrong, pytrace=False)
