"""The simulated city: a grid of 40 streets and 30 avenues laid over a part of New York, made up for this project.

Nothing in it is drawn at random: the shipped zones lie on it, whatever the seed. A place is the number of a crossing,
`street * 30 + avenue`.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np

from citywatch.sources.simulator.draws import Integers
from citywatch.sources.simulator.text import Text, table

STREETS, AVENUES = 40, 30
CROSSINGS = STREETS * AVENUES
SOUTH, WEST = 40_602, -73_988
"""The south-west crossing, thousandths of a degree."""
STREET_STEP, AVENUE_STEP = 5, 8
"""From a crossing to the next, thousandths of a degree: about 560 m north, 670 m east."""

ANPR_ROWS, ANPR_COLUMNS = STREETS // 2, AVENUES // 2
"""A plate reader stands at every second crossing, in both directions."""

_AVENUES = (
    "Alder Ash Aspen Beech Birch Cedar Cherry Chestnut Cypress Elder Elm Fir Hawthorn Hazel Hemlock Hickory Holly "
    "Juniper Larch Laurel Linden Locust Magnolia Maple Oak Pine Poplar Rowan Sycamore Willow"
).split()

# From the south-west, four areas eastward in each of four rows northward; about where these precincts are.
_PRECINCTS = (
    (("Brooklyn", 61), ("Brooklyn", 63), ("Brooklyn", 69), ("Queens", 106)),
    (("Brooklyn", 72), ("Brooklyn", 71), ("Brooklyn", 75), ("Queens", 113)),
    (("Manhattan", 13), ("Queens", 108), ("Queens", 110), ("Queens", 112)),
    (("Manhattan", 19), ("Queens", 114), ("Queens", 115), ("Queens", 109)),
)

SCHOOLS = (64, 188, 432, 546, 670, 794, 918, 1102)
"""Crossings with a school: each has one plate reader and no other within its zone."""
TRANSIT = (125, 365, 492, 727, 853, 1071)
"""Crossings with a station."""
RESTRICTED = (291, 1009)
"""Crossings inside a power station and a water works."""


def latitude(place: int) -> float:
    """Degrees north."""
    return (SOUTH + place // AVENUES * STREET_STEP) / 1000


def longitude(place: int) -> float:
    """Degrees east."""
    return (WEST + place % AVENUES * AVENUE_STEP) / 1000


def area(place: int) -> tuple[str, int]:
    """Borough and precinct."""
    return _PRECINCTS[place // AVENUES * 4 // STREETS][place % AVENUES * 4 // AVENUES]


def in_precinct(precinct: int) -> list[int]:
    """All crossings of a precinct."""
    return [place for place in range(CROSSINGS) if area(place)[1] == precinct]


def words(place: int) -> dict[str, Any]:
    """Address, street, borough and precinct."""
    borough, precinct = area(place)
    street, avenue = f"{_ordinal(place // AVENUES + 1)} Street", f"{_AVENUES[place % AVENUES]} Avenue"
    return {"address": f"{avenue} and {street}", "street": avenue, "borough": borough, "precinct": precinct}


def position(place: int) -> dict[str, Any]:
    """Everything that an event says about where it was."""
    return {"lat": latitude(place), "lon": longitude(place), **words(place)}


def anpr_place(camera: int) -> int:
    """The crossing of a plate reader, which are numbered from the south-west, eastward."""
    return camera // ANPR_COLUMNS * 2 * AVENUES + camera % ANPR_COLUMNS * 2


@cache
def reader_at() -> Integers:
    """For each crossing its plate reader, or -1."""
    readers = np.full(CROSSINGS, -1)
    for camera in range(ANPR_ROWS * ANPR_COLUMNS):
        readers[anpr_place(camera)] = camera
    return readers


def spread(devices: Integers, step: int) -> Integers:
    """A crossing for each number of a device, spread over the city; the steps used are prime to the crossings."""
    return devices * step % CROSSINGS


@cache
def words_json() -> Text:
    """For each place the members of `words` as JSON, without braces."""
    return table([_members(words(place)) for place in range(CROSSINGS)])


@cache
def position_json() -> Text:
    """For each place the members of `position` as JSON, without braces."""
    return table([_members(position(place)) for place in range(CROSSINGS)])


def nearest(lat: Integers, lon: Integers) -> Integers:
    """The crossing nearest to positions given in 100,000ths of a degree."""
    street = np.clip(np.rint((lat - SOUTH * 100) / (STREET_STEP * 100)), 0, STREETS - 1)
    avenue = np.clip(np.rint((lon - WEST * 100) / (AVENUE_STEP * 100)), 0, AVENUES - 1)
    nearest: Integers = (street * AVENUES + avenue).astype(np.int64)
    return nearest


def zones() -> dict[str, Any]:
    """The shipped zones as GeoJSON: octagons round schools and stations, blocks of the restricted sites."""
    shapes = {
        "school": [_octagon(place, 150) for place in SCHOOLS],
        "transit": [_octagon(place, 200) for place in TRANSIT],
        "restricted": [_octagon(place, 250) for place in RESTRICTED],
    }
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]},
        }
        for name, rings in shapes.items()
    ]
    return {"type": "FeatureCollection", "features": features}


def _octagon(place: int, metres: float) -> list[list[float]]:
    lat, lon = latitude(place), longitude(place)
    north = metres / 111_195
    east = north / math.cos(math.radians(lat))
    angles = [math.radians(22.5 + 45 * corner) for corner in range(8)]
    ring = [[round(lon + east * math.cos(a), 6), round(lat + north * math.sin(a), 6)] for a in angles]
    return [*ring, ring[0]]


def _members(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))[1:-1]


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
