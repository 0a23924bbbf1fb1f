"""A small map of an alert's evidence, drawn here as SVG: positions in order, zones around, a scale; no tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from citywatch.console.port import Ring

WIDTH, HEIGHT = 640, 300
MARGIN = 48
SMALLEST = 400.0
"""Metres that the map shows at least: one position alone needs some ground around it."""

METRES_PER_DEGREE = 111_195.0
"""Of latitude, on the sphere that the rules measure on."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A position on the map, in pixels; `numbers` are the events of the evidence there."""

    x: float
    y: float
    numbers: str


@dataclass(frozen=True, slots=True)
class EvidenceMap:
    """All that the template draws, in pixels of a WIDTH x HEIGHT picture."""

    dots: list[Dot]
    path: str
    zones: list[tuple[str, str]]
    grid: list[tuple[float, float, float, float]]
    scale_px: float
    scale_words: str
    words: str
    width: int = WIDTH
    height: int = HEIGHT


class _Projection:
    """Equirectangular around the middle of the positions: true to scale over a city."""

    def __init__(self, places: Sequence[tuple[float, float]]) -> None:
        lats, lons = [lat for lat, _ in places], [lon for _, lon in places]
        self.lat, self.lon = (min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2
        self._east = METRES_PER_DEGREE * max(math.cos(math.radians(self.lat)), 0.01)
        across = max((max(lons) - min(lons)) * self._east, SMALLEST)
        along = max((max(lats) - min(lats)) * METRES_PER_DEGREE, SMALLEST * HEIGHT / WIDTH)
        self.metres = max(across / (WIDTH - 2 * MARGIN), along / (HEIGHT - 2 * MARGIN))
        """Metres in a pixel."""

    def __call__(self, lat: float, lon: float) -> tuple[float, float]:
        x = WIDTH / 2 + (lon - self.lon) * self._east / self.metres
        y = HEIGHT / 2 - (lat - self.lat) * METRES_PER_DEGREE / self.metres
        return round(x, 1), round(y, 1)


def draw(alert: Mapping[str, Any], zones: Mapping[str, Sequence[Ring]]) -> EvidenceMap | None:
    """The map of an alert, or None when nothing in it has a position."""
    places = list(_places(alert))
    if not places:
        return None
    project = _Projection([(lat, lon) for _, lat, lon in places])
    points = [(number, *project(lat, lon)) for number, lat, lon in places]
    length = _round_length(project.metres * 120)
    return EvidenceMap(
        dots=_dots(points),
        path=" ".join(f"{x},{y}" for _, x, y in points),
        zones=list(_outlines(zones, project)),
        grid=list(_grid(length / project.metres)),
        scale_px=round(length / project.metres, 1),
        scale_words=f"{length:g} m" if length < 1000 else f"{length / 1000:g} km",
        words=f"{len(points)} position{'s' if len(points) > 1 else ''} of the evidence",
    )


def _places(alert: Mapping[str, Any]) -> Iterator[tuple[int, float, float]]:
    """(number of the event, lat, lon), or the alert's own position under number 0."""
    found = False
    for number, event in enumerate(alert["evidence"], 1):
        data = event.get("data") or {}
        if isinstance(data.get("lat"), int | float) and isinstance(data.get("lon"), int | float):
            found = True
            yield number, data["lat"], data["lon"]
    if not found and alert["lat"] is not None and alert["lon"] is not None:
        yield 0, alert["lat"], alert["lon"]


def _dots(points: Sequence[tuple[int, float, float]]) -> list[Dot]:
    """One dot for all events that would cover each other."""
    heaps: list[tuple[float, float, list[int]]] = []
    for number, x, y in points:
        heap = next((h for h in heaps if math.hypot(h[0] - x, h[1] - y) < 24), None)
        if heap is None:
            heaps.append((x, y, [number]))
        else:
            heap[2].append(number)
    return [Dot(x, y, _numbers(numbers)) for x, y, numbers in heaps]


def _numbers(numbers: Sequence[int]) -> str:
    """`1-3, 5`; nothing for the alert's own position."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in spans if b)


def _round_length(metres: float) -> float:
    """The greatest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1, 2, 5) if step * power <= metres)


def _grid(step: float) -> Iterator[tuple[float, float, float, float]]:
    for number in range(-math.ceil(WIDTH / 2 / step), math.ceil(WIDTH / 2 / step) + 1):
        x = round(WIDTH / 2 + number * step, 1)
        yield x, 0, x, HEIGHT
    for number in range(-math.ceil(HEIGHT / 2 / step), math.ceil(HEIGHT / 2 / step) + 1):
        y = round(HEIGHT / 2 + number * step, 1)
        yield 0, y, WIDTH, y


def _outlines(zones: Mapping[str, Sequence[Ring]], project: _Projection) -> Iterator[tuple[str, str]]:
    """(name, points) of the outlines that reach into the picture."""
    for name, rings in zones.items():
        for ring in rings:
            points = [project(lat, lon) for lon, lat in ring]
            xs, ys = [x for x, _ in points], [y for _, y in points]
            if min(xs) < WIDTH and max(xs) > 0 and min(ys) < HEIGHT and max(ys) > 0:
                yield name, " ".join(f"{x},{y}" for x, y in points)
