"""How often people are seen to do what in front of cameras, by hour and place.

Scores are not drawn: they follow from the behaviours.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from citywatch.scores import formula
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Floats, Integers
from citywatch.sources.simulator.local import hours

PLANNED = ("Entering restricted areas",)
"""Left to planted incidents, so that nothing else explains their alerts."""

_WEIGHTS = {0: 30.0, 1: 25.0, 2: 25.0, 3: 20.0, 4: 15.0, 10: 2.0}
"""By the older watcher's score of a behaviour: the harmless are frequent."""

_AT_NIGHT = {
    "Agitation": 3.0, "Carry Weapon": 2.0, "Evasive behavior": 2.0, "Following people": 2.0, "Furtive Movements": 2.0,
    "Graffiti": 4.0, "Kiss": 2.0, "Loitering": 2.0, "Heavy backpacks": 0.3, "Phoning": 0.5, "Shake Hand": 0.3,
    "Suspicious photography": 0.3, "Unauthorized selling": 0.3, "Crowd Movement": 0.5,
}  # fmt: skip
_IN_A_STATION = {
    "Crowd Movement": 3.0, "Heavy backpacks": 4.0, "Hug": 2.0, "Kiss": 2.0, "Phoning": 3.0, "Unauthorized selling": 2.0,
    "Graffiti": 0.3, "Abandoning vehicles": 0.0, "Flying Drones": 0.1,
}  # fmt: skip
_AT_A_SCHOOL = {
    "Acting in groups": 3.0, "Hug": 3.0, "Smile": 3.0, "Heavy backpacks": 3.0, "Carry Weapon": 0.2,
    "Large cash transactions": 0.1, "Unauthorized selling": 0.3,
}  # fmt: skip
_AT_A_RESTRICTED_SITE = {
    "Monitoring activities": 3.0, "Unauthorized filming": 3.0, "Flying Drones": 3.0, "Shake Hand": 2.0,
    "Kiss": 0.3, "Unauthorized selling": 0.1, "Unattended bags": 0.3,
}  # fmt: skip
"""How much more often than elsewhere, and by day."""

_PLACES: tuple[tuple[tuple[int, ...], dict[str, float]], ...] = (
    (geography.TRANSIT, _IN_A_STATION),
    (geography.SCHOOLS, _AT_A_SCHOOL),
    (geography.RESTRICTED, _AT_A_RESTRICTED_SITE),
)
_NIGHT_BEGINS, _NIGHT_ENDS = 21, 6


@cache
def names() -> tuple[str, ...]:
    """The known behaviours; all else counts in their order."""
    return tuple(formula()["behaviors"])


def frequencies(places: Integers, times: Integers) -> Floats:
    """How often each behaviour is seen, relative to the others: shape (behaviours, n) for n places and times (µs)."""
    hour = hours(times)
    night = (hour >= _NIGHT_BEGINS) | (hour < _NIGHT_ENDS)
    return _table()[:, _kinds()[places] * 2 + night]


@cache
def _table() -> Floats:
    """A column for every (kind of place, night) in turn."""
    behaviors = formula()["behaviors"]
    usual = np.array([0.0 if name in PLANNED else _WEIGHTS[of["seed"]] for name, of in behaviors.items()])
    columns = []
    for more in ({}, *(more for _, more in _PLACES)):
        here = usual * np.array([more.get(name, 1.0) for name in names()])
        columns += [here, here * np.array([_AT_NIGHT.get(name, 1.0) for name in names()])]
    return np.column_stack(columns)


@cache
def _kinds() -> Integers:
    """For each crossing which kind of place it is: 0, or 1 + its number in `_PLACES`."""
    kinds = np.zeros(geography.CROSSINGS, np.int64)
    for number, (places, _) in enumerate(_PLACES, 1):
        kinds[list(places)] = number
    return kinds
