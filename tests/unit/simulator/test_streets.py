"""The street graph and the drives over it."""

from __future__ import annotations

import numpy as np
import pytest

from citywatch.settings import HOUR, MINUTE, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Floats, Integers
from citywatch.sources.simulator.streets import AVENUE_KMH, DRIVE, DRIVES, EXPRESSWAY_KMH, STREET_KMH, drives, streets
from citywatch.sources.simulator.traffic import PlateReads

from .host import START

SEEDS = (1, 2, 3)


def next_crossings(seed: int) -> list[Integers]:
    """From each crossing, where one may drive to."""
    steps = np.array([geography.AVENUES, 1, -geography.AVENUES, -1])
    return [crossing + steps[may] for crossing, may in enumerate(streets(seed).open_)]


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_a_thousand_crossings_and_each_leads_to_nearly_all_others(seed: int) -> None:
    graph, onward = streets(seed), next_crossings(seed)
    assert graph.nodes > 1000
    assert graph.edges > 3000
    start = int(np.flatnonzero(graph.open_.any(axis=1))[0])
    reached, edge = {start}, [start]
    while edge:
        edge = [int(there) for here in edge for there in onward[here] if int(there) not in reached]
        edge = list(dict.fromkeys(edge))
        reached.update(edge)
    assert len(reached) > 0.97 * graph.nodes


@pytest.mark.parametrize("seed", SEEDS)
def test_every_block_leads_to_a_crossing_beside_it_from_where_one_can_go_on(seed: int) -> None:
    onward = next_crossings(seed)
    for here, ends in enumerate(onward):
        for there in ends.tolist():
            rows = abs(there // geography.AVENUES - here // geography.AVENUES)
            columns = abs(there % geography.AVENUES - here % geography.AVENUES)
            assert rows + columns == 1
            assert len(onward[there])


def test_another_seed_has_other_streets() -> None:
    assert (streets(1).open_ != streets(2).open_).any()
    assert (streets(1).kmh != streets(2).kmh).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_may_drive_fast_at_a_school(seed: int) -> None:
    assert streets(seed).kmh[list(geography.SCHOOLS)].max() < EXPRESSWAY_KMH
    assert streets(seed).kmh.max() == EXPRESSWAY_KMH
    assert streets(seed).kmh.min() == STREET_KMH


@pytest.mark.parametrize("seed", SEEDS)
def test_drives_pass_nearly_all_readers_at_legal_speeds(seed: int) -> None:
    driven = drives(seed)
    assert len(np.unique(driven.reader)) > 0.9 * geography.ANPR_ROWS * geography.ANPR_COLUMNS
    assert 0 < driven.kmh.min() <= driven.kmh.max() <= EXPRESSWAY_KMH
    assert (np.diff(driven.keys) >= 0).all()
    assert np.array_equal(np.repeat(np.arange(DRIVES), np.diff(driven.first)), driven.keys // DRIVE)


def legal_at_readers(seed: int) -> Floats:
    """At each plate reader, the largest legal speed of the blocks that lead to its crossing."""
    graph, largest = streets(seed), np.zeros(geography.CROSSINGS)
    for here, ends in enumerate(next_crossings(seed)):
        np.maximum.at(largest, ends, graph.kmh[here][graph.open_[here]])
    readers = geography.ANPR_ROWS * geography.ANPR_COLUMNS
    return largest[[geography.anpr_place(reader) for reader in range(readers)]]


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_passes_a_reader_faster_than_is_legal_on_the_way_to_it(seed: int) -> None:
    driven, legal = drives(seed), legal_at_readers(seed)
    assert set(legal[driven.reader].tolist()) == {STREET_KMH, AVENUE_KMH, EXPRESSWAY_KMH}
    assert (driven.kmh <= legal[driven.reader]).all()
    assert (driven.kmh > 0.9 * legal[driven.reader]).any(), "some drive nearly as fast as they may"


@pytest.mark.parametrize("seed", SEEDS)
def test_from_reader_to_reader_a_drive_takes_the_time_that_the_limit_asks_for(seed: int) -> None:
    driven = drives(seed)
    same = np.diff(driven.keys // DRIVE) == 0
    seconds = np.diff(driven.keys % DRIVE)[same] / SECOND
    place = np.array([geography.anpr_place(int(reader)) for reader in driven.reader])
    north = np.diff(place // geography.AVENUES)[same] * geography.STREET_STEP * 111.195
    east = np.diff(place % geography.AVENUES)[same] * geography.AVENUE_STEP * 84.3
    assert (np.hypot(north, east) / seconds * 3.6).max() <= EXPRESSWAY_KMH


@pytest.mark.parametrize("rate", [0.5, 20.0, 4000.0])
def test_so_many_vehicles_depart_that_readers_see_as_many_as_are_asked_for(rate: float) -> None:
    seconds = max(10, round(4000 / rate))
    seen = PlateReads(1, rate).between(START, START + seconds * SECOND)
    assert len(seen.times) == pytest.approx(rate * seconds, rel=0.06)
    assert len(np.unique(seen.numbers)) == len(seen.numbers)


def test_what_is_seen_does_not_depend_on_where_time_is_cut() -> None:
    reads = PlateReads(3, 15.0)
    whole = reads.between(START, START + 5 * MINUTE)
    parts = [reads.between(START + nth * MINUTE, START + (nth + 1) * MINUTE) for nth in range(5)]
    cut = [str(body) for part in parts for body in part.bodies.to_pylist()]
    assert sorted(cut) == sorted(map(str, whole.bodies.to_pylist()))


def test_a_vehicle_drives_the_same_way_once_a_day() -> None:
    reads = PlateReads(1, 20.0)
    plates = [set(reads.between(START + hours * HOUR, START + hours * HOUR + MINUTE).numbers // 2**7 % reads.vehicles)
              for hours in (0, 24)]  # fmt: skip
    assert plates[0] & plates[1]
