"""Where which fine holds: at or below 96th Street in Manhattan, or elsewhere in the city."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from citywatch.offences import offences

if TYPE_CHECKING:
    import shapely

BELOW_96TH = (1, 5, 6, 7, 9, 10, 13, 14, 17, 18, 19, 20)
"""Precincts that lie in Manhattan at or below 96th Street."""

BOTH_SIDES = (22, 24)
"""Precincts on both sides of 96th Street: which fine holds cannot be told."""

ELSEWHERE = (
    *(23, 25, 26, 28, 30, 32, 33, 34),  # Manhattan above
    *(*range(40, 51), 52),  # the Bronx
    *(60, 61, 62, 63, *range(66, 74), 75, 76, 77, 78, 79, 81, 83, 84, 88, 90, 94),  # Brooklyn
    *range(100, 117),  # Queens
    *range(120, 124),  # Staten Island
)

_STREET = ((-73.9390, 40.7802), (-73.9450, 40.7828), (-73.9745, 40.7956), (-73.9850, 40.8002))
"""96th Street as (lon, lat), drawn on into the middle of both rivers."""

_RIVERS = (
    *((-73.9930, 40.7860), (-74.0020, 40.7720), (-74.0110, 40.7580), (-74.0170, 40.7400), (-74.0210, 40.7200)),
    *((-74.0240, 40.7080), (-74.0220, 40.6960), (-74.0080, 40.6990), (-73.9985, 40.7040), (-73.9850, 40.7072)),
    *((-73.9720, 40.7105), (-73.9685, 40.7200), (-73.9660, 40.7330), (-73.9650, 40.7440), (-73.9630, 40.7520)),
    *((-73.9562, 40.7590), (-73.9478, 40.7680), (-73.9415, 40.7740)),
)
"""From 96th Street down the middle of the Hudson, around the Battery, and up the East River's western channel."""

_CITY = (-74.26, 40.49, -73.69, 40.92)
"""West, south, east, north of all five boroughs."""

_NEAR = 0.0006
"""Degrees, about 60 m: so near to 96th Street a position does not tell on which side."""


class Side(StrEnum):
    """Which of the two fines holds."""

    MANHATTAN = "manhattan"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Spot:
    """What is known of a place; degrees for lat and lon."""

    precinct: int | None = None
    borough: str | None = None
    lat: float | None = None
    lon: float | None = None


def side(spot: Spot) -> Side | None:
    """Which fine holds there; None where that cannot be told.

    The precinct says it; where there is none, or one on both sides of 96th Street, the borough does, else the position.
    """
    if spot.precinct in BELOW_96TH:
        return Side.MANHATTAN
    if spot.precinct in ELSEWHERE:
        return Side.ELSEWHERE
    if spot.borough is not None and spot.borough != "Manhattan":
        return Side.ELSEWHERE
    if spot.lat is None or spot.lon is None:
        return None
    return _side_of_position(spot.lat, spot.lon)


def fine(code: int, spot: Spot) -> int | None:
    """The fine in US dollars; None for a code without one, and where the place does not tell which holds."""
    offence, where = offences().get(code), side(spot)
    if offence is None:
        return None
    if offence.fine_manhattan == offence.fine_elsewhere:
        return offence.fine_manhattan
    if where is None:
        return None
    return offence.fine_manhattan if where is Side.MANHATTAN else offence.fine_elsewhere


def _side_of_position(lat: float, lon: float) -> Side | None:
    import shapely  # noqa: PLC0415 - most places are told by their precinct

    west, south, east, north = _CITY
    if not (west <= lon <= east and south <= lat <= north):
        return None
    island, street = _shapes()
    point = shapely.Point(lon, lat)
    if street.distance(point) < _NEAR:
        return None
    return Side.MANHATTAN if island.contains(point) else Side.ELSEWHERE


@cache
def _shapes() -> tuple[shapely.Polygon, shapely.LineString]:
    """Manhattan below 96th Street, and that street."""
    import shapely  # noqa: PLC0415 - as above

    return shapely.Polygon([*_STREET, *_RIVERS]), shapely.LineString(_STREET)
