"""The patrols that drones fly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from citywatch.settings import SECOND
from citywatch.sources.simulator import drones, geography
from citywatch.sources.simulator.draws import Floats, Integers

from .host import START

DRONES = np.arange(geography.CROSSINGS)
NORTH, EAST = np.float64(1.11195), np.float64(0.843)
"""Metres of a 100,000th of a degree in this city."""
ROUNDING = 1.0
"""Metres by which a place is wrong at most when it is told in 100,000ths of a degree."""


def metres(drone: Integers, seconds: Floats) -> tuple[Floats, Floats]:
    """Where drones are so long after START, north and east of their homes."""
    lat, lon = drones.flight(drone, START + np.rint(seconds * SECOND).astype(np.int64))
    home = drones.home(drone)
    south, west = geography.SOUTH + home // geography.AVENUES * geography.STREET_STEP, geography.WEST
    return (lat - south * 100) * NORTH, (lon - (west + home % geography.AVENUES * geography.AVENUE_STEP) * 100) * EAST


def rounds() -> list[tuple[Floats, Floats]]:
    """The places of all drones at 200 moments of one round, the last of them its end."""
    took = drones.round_seconds(DRONES)
    return [metres(DRONES, took * nth / 200) for nth in range(201)]


def radius() -> Floats:
    return drones.radius(DRONES) * NORTH


def test_a_drone_stays_about_its_home_and_sees_it_from_all_sides() -> None:
    places = np.array(rounds())
    away = np.hypot(places[:, 0], places[:, 1])
    assert (np.abs(away - radius()) < 0.02 * radius() + ROUNDING).all(), "it flies a circle"
    for side in (places[:, 0], places[:, 1]):
        assert (side.max(axis=0) > 0.95 * radius()).all()
        assert (side.min(axis=0) < -0.95 * radius()).all()


def test_a_drone_is_back_after_a_round_and_not_before() -> None:
    places = np.array(rounds())
    from_start = np.hypot(*(places - places[0]).transpose(1, 0, 2))
    assert (from_start[-1] <= 2 * ROUNDING).all()
    assert (from_start[10:-10] > 0.2 * radius()).all()


def test_a_drone_is_as_fast_as_its_way_says_and_nowhere_faster_than_42_km_h() -> None:
    places = np.array(rounds())
    steps = np.hypot(*np.diff(places, axis=0).transpose(1, 0, 2))
    flown = steps.sum(axis=0) / drones.round_seconds(DRONES) * 3.6
    assert flown == pytest.approx(drones.speed(DRONES), rel=0.03)
    assert drones.speed(DRONES).max() <= 42
    assert (steps > 0).all(), "it never stands still"


def test_what_positions_tell_of_speed_is_what_they_tell_of_places() -> None:
    stream = drones.DronePositions(1, 40.0)
    drawn = stream.between(START, START + 600 * SECOND)
    told = [json.loads(f"{body}}}")["data"] for body in drawn.bodies.to_pylist()]
    for number in range(0, stream.devices, 17):
        own = np.flatnonzero(drawn.numbers % stream.devices == number)
        lat, lon = (np.array([told[row][name] for row in own]) * 100_000 for name in ("lat", "lon"))
        seconds = drawn.times[own] / SECOND
        flown = np.hypot(np.diff(lat) * NORTH, np.diff(lon) * EAST).sum() / (seconds[-1] - seconds[0]) * 3.6
        speeds = np.array([told[row]["speed_kmh"] for row in own])
        assert len(own) > 100
        assert ((speeds > 0.85 * flown) & (speeds < 1.15 * flown)).all(), "gusts take and give a tenth"
        assert len(np.unique(speeds)) > 5
