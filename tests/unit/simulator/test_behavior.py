"""What people do, by hour and place."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from citywatch.scores import formula
from citywatch.settings import HOUR, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.behavior import PLANNED, frequencies, names
from citywatch.sources.simulator.cctv import PersonReports
from citywatch.sources.simulator.local import bustle, by_day, hours, school_hours

from .host import START

NOON, MIDNIGHT = START + 4 * HOUR, START + 16 * HOUR
WINTER = 1_767_614_400 * SECOND
"""2026-01-05T12:00:00Z, a Monday."""


def share(behavior: str, place: int, time: int) -> float:
    weights = frequencies(np.array([place]), np.array([time]))[:, 0]
    return float(weights[names().index(behavior)] / weights.sum())


def test_all_known_behaviours_are_seen_but_those_that_are_planned() -> None:
    assert set(names()) == set(formula()["behaviors"])
    unseen = {name for name in names() if share(name, 0, NOON) == 0}
    assert unseen == set(PLANNED)


@pytest.mark.parametrize("behavior", ["Agitation", "Graffiti", "Loitering"])
def test_some_things_happen_at_night(behavior: str) -> None:
    assert share(behavior, 0, MIDNIGHT) > 1.5 * share(behavior, 0, NOON)


@pytest.mark.parametrize(
    ("behavior", "place"),
    [
        ("Heavy backpacks", geography.TRANSIT[0]),
        ("Acting in groups", geography.SCHOOLS[1]),
        ("Unauthorized filming", geography.RESTRICTED[0]),
    ],
)
def test_some_things_happen_at_some_places(behavior: str, place: int) -> None:
    assert share(behavior, place, NOON) > 1.5 * share(behavior, 0, NOON)


def test_the_reports_say_so() -> None:
    seen: list[Counter[str]] = []
    for begin in (NOON, MIDNIGHT):
        bodies = PersonReports(1, 20.0).between(begin, begin + 200 * SECOND).bodies.to_pylist()
        seen.append(Counter(b for body in bodies for b in json.loads(f"{body}}}")["data"]["behaviors"]))
    by_noon, by_midnight = seen
    assert by_midnight["Graffiti"] > 1.5 * by_noon["Graffiti"]
    assert by_midnight["Phoning"] < by_noon["Phoning"]


def test_the_clocks_of_the_city_change_in_summer() -> None:
    assert hours(np.array([START, WINTER])).tolist() == [8, 7]
    assert hours(np.array([1_772_953_199 * SECOND, 1_772_953_200 * SECOND])).tolist() == [1, 3]


def test_it_is_light_by_day_and_busy_in_the_afternoon() -> None:
    assert by_day(np.array([NOON, MIDNIGHT])).tolist() == [True, False]
    assert bustle(np.array([NOON + 3 * HOUR]))[0] == pytest.approx(1)
    assert bustle(np.array([START - 5 * HOUR]))[0] == pytest.approx(0)


@pytest.mark.parametrize(("hour", "open_"), [(0, True), (-1, False), (6, True), (7, False), (48, False)])
def test_children_are_at_school_from_eight_to_three_on_weekdays(hour: int, open_: bool) -> None:
    assert school_hours(START + hour * HOUR) is open_
