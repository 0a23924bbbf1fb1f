"""What people do in front of cameras, with the older watcher's scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

BEHAVIORS: dict[str, int] = {
    "Hug": 0, "Smile": 0, "Kiss": 0, "Phoning": 0, "Shake Hand": 0,
    "Loitering": 1, "Evasive behavior": 1, "Heavy backpacks": 1, "Frowning": 1,
    "Suspicious photography": 2, "Repeated passing": 2, "Abandoning vehicles": 2, "Unauthorized filming": 2,
    "Acting in groups": 2, "Furtive Movements": 2, "Surveillance of Exits": 2,
    "Unattended bags": 3, "Entering restricted areas": 3, "Testing security": 3, "Large cash transactions": 3,
    "Monitoring activities": 3, "Graffiti": 3,
    "Unauthorized selling": 4, "Agitation": 4, "Following people": 4, "Flying Drones": 4, "Crowd Movement": 4,
    "Carry Weapon": 10,
}  # fmt: skip
"""Each behaviour with its score."""

PLANNED = ("Entering restricted areas",)
"""Left to planted incidents, so that nothing else explains their alerts."""

_WEIGHTS = {0: 30, 1: 25, 2: 25, 3: 20, 4: 15, 10: 2}


def weights() -> tuple[float, ...]:
    """How often each behaviour is seen, in the order of `BEHAVIORS`; the harmless are frequent."""
    return tuple(0.0 if name in PLANNED else float(_WEIGHTS[score]) for name, score in BEHAVIORS.items())


def location_factor(x: float, y: float) -> float:
    """2 in the middle of the older watcher's plane, less outward."""
    return round(2 - math.dist((x, y), (50, 50)) / 50, 2)


def hour_factor(hour: int) -> float:
    """More in the rush hours and at night."""
    if 6 <= hour <= 9 or 16 <= hour <= 19:
        return 1.2
    return 1.3 if 1 <= hour <= 5 else 1.0


def age_factor(age: int) -> float:
    """More for the young, less for the old: the reason why no stable rule uses this score."""
    if 16 <= age <= 19:
        return 1.2
    if 20 <= age <= 29:
        return 1.3
    return 0.7 if age > 65 else 1.0


def dangerosity(behaviors: Sequence[str], x: float, y: float, hour: int, age: int) -> int:
    """The older watcher's score of a report; `hour` is the city's."""
    scores = sum(BEHAVIORS[name] for name in behaviors)
    return int(scores * location_factor(x, y) * hour_factor(hour) * age_factor(age) * 100 / 25)
