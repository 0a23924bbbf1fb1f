"""Places: zones are polygons, distances are on a sphere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Point = tuple[float, float]
"""(longitude, latitude)"""
Polygon = Sequence[Point]
"""Corners in order, without holes."""

EARTH_RADIUS_KM = 6371.0088


def contains(polygon: Polygon, point: Point) -> bool:
    """Whether the point is inside or on the border, in exact arithmetic."""
    x, y = Fraction(point[0]), Fraction(point[1])
    corners = [(Fraction(a), Fraction(b)) for a, b in polygon]
    inside = False
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        turn = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if turn == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and (turn > 0) == (y2 > y1):
            inside = not inside
    return inside


def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance on a sphere of 6,371,008.8 m."""
    p1, p2 = math.radians(lat1), math.radians(lat2)
    a = math.sin((p2 - p1) / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(a)))
