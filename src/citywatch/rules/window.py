"""What a correlation sees in the window around an event, in words; the verdict itself is the engine's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt

from citywatch.rules.model import Correlation, CorrelationType
from citywatch.rules.testing import span

_EARTH_KM = 6371.0088
_NAMED = 5


@dataclass(slots=True)
class Base:
    """A base event; `rules` are the names it satisfies, `flag` whether `where` holds (dwell keeps both)."""

    t: int
    source: str
    id: str
    explained: bool
    value: str | None
    lat: float | None
    flag: bool
    lon: float | None
    rules: set[str] = field(default_factory=set)


def window_words(correlation: Correlation, t: int, rows: Sequence[Base]) -> Iterator[str]:
    """Sentences about the base events `rows` of one key around an event at `t` (µs)."""
    kind, length = correlation.type, correlation.timespan
    before = [row for row in rows if t - length < row.t <= t]
    after = [row for row in rows if t < row.t <= t + length]
    words = {
        CorrelationType.EVENT_COUNT: lambda: [_count(len(before), "events", correlation)],
        CorrelationType.VALUE_COUNT: lambda: [_values(before, correlation)],
        CorrelationType.TEMPORAL: lambda: _by_rule(before, correlation),
        CorrelationType.TEMPORAL_ORDERED: lambda: _by_rule(before, correlation),
        CorrelationType.ABSENCE: lambda: [
            _silence([r for r in after if correlation.base_names[1] in r.rules], correlation)
        ],
        CorrelationType.FLATLINE: lambda: [_silence(after, correlation)],
        CorrelationType.SPIKE: lambda: [
            _spike(len(before), [r for r in rows if t - 2 * length < r.t <= t - length], correlation)
        ],
        CorrelationType.NEW_TERMS: lambda: [_terms([r for r in rows if t - length <= r.t < t], rows, correlation)],
        CorrelationType.CHANGE: lambda: [_change(before, correlation)],
        CorrelationType.DWELL: lambda: [_stay([r for r in rows if r.t <= t], t, correlation)],
        CorrelationType.IMPOSSIBLE_TRAVEL: lambda: _travel(before, correlation),
    }
    yield from words[kind]()
    if before and kind not in {CorrelationType.IMPOSSIBLE_TRAVEL}:
        yield _listed(before, t)


def _listed(rows: Sequence[Base], t: int) -> str:
    named = [
        f"{row.source} {row.id} ({span(t - row.t)} before)" if row.t < t else f"{row.source} {row.id}" for row in rows
    ]
    more = f" and {len(named) - _NAMED} earlier" if len(named) > _NAMED else ""
    return f"in the timespan up to the event: {', '.join(named[-_NAMED:])}{more}"


def _count(number: int, things: str, correlation: Correlation) -> str:
    wanted = " and ".join(f"{operator} {limit}" for operator, limit in correlation.condition)
    return f"{number} {things} in the {span(correlation.timespan)} up to the event; wanted: {wanted}"


def _values(rows: Sequence[Base], correlation: Correlation) -> str:
    values = sorted({row.value for row in rows if row.value is not None})
    shown = ", ".join(values[:_NAMED]) + (", …" if len(values) > _NAMED else "")
    return f"{_count(len(values), f'values of {correlation.field}', correlation)}{f' ({shown})' if values else ''}"


def _by_rule(rows: Sequence[Base], correlation: Correlation) -> list[str]:
    counts = [f"{name} {sum(name in row.rules for row in rows)}" for name in dict.fromkeys(correlation.base_names)]
    order = ", to be met in this order" if correlation.type is CorrelationType.TEMPORAL_ORDERED else ""
    return [f"events in the {span(correlation.timespan)} up to the event: {', '.join(counts)}{order}"]


def _silence(rows: Sequence[Base], correlation: Correlation) -> str:
    return f"{len(rows)} events in the {span(correlation.timespan)} after the event; wanted: none"


def _spike(current: int, reference: Sequence[Base], correlation: Correlation) -> str:
    wanted = f"{correlation.threshold_cur} and {correlation.threshold_ref} at least"
    counted = (
        f"{current} events in the {span(correlation.timespan)} up to the event, {len(reference)} in as long before"
    )
    return f"{counted}; wanted: {wanted}, and {float(correlation.spike_height):g} times as many"


def _terms(earlier: Sequence[Base], rows: Sequence[Base], correlation: Correlation) -> str:
    value = next((row.value for row in rows if row.explained), None)
    if value is None:
        return f"{correlation.field} is NULL: only a value can be new"
    seen = sum(row.value == value for row in earlier)
    return (
        f"{correlation.field} {value!r} was seen {seen} times in the {span(correlation.timespan)} before; wanted: never"
    )


def _change(rows: Sequence[Base], correlation: Correlation) -> str:
    at = next((i for i, row in enumerate(rows) if row.explained), 0)
    if at == 0:
        return f"no event before it within {span(correlation.timespan)}"
    return f"{correlation.field} is {rows[at].value!r}, it was {rows[at - 1].value!r} in the event before"


def _stay(rows: Sequence[Base], t: int, correlation: Correlation) -> str:
    start, last = None, None
    for row in reversed(rows):
        if not row.flag or (last is not None and last - row.t > correlation.max_gap):
            break
        start = last = row.t
    lasted = "no stay: where does not hold" if start is None else f"the stay lasts {span(t - start)}"
    return f"{lasted}; wanted: {span(correlation.timespan)}, no gap over {span(correlation.max_gap)}"


def _travel(rows: Sequence[Base], correlation: Correlation) -> list[str]:
    event = next((row for row in rows if row.explained), None)
    if event is None or event.lat is None or event.lon is None:
        return ["the event has no position"]
    said = []
    for row in rows:
        if (
            row is event
            or row.lat is None
            or row.lon is None
            or (row.t, row.source, row.id) > (event.t, event.source, event.id)
        ):
            continue
        km = distance_km((row.lat, row.lon), (event.lat, event.lon))
        hours = (event.t - row.t) / 3.6e9
        speed = f"{km / hours:.0f} km/h" if hours else "at the same time"
        said.append(f"{row.source} {row.id}: {km:.2f} km in {span(event.t - row.t)}, {speed}")
    limits = (
        f"wanted: at least {float(correlation.min_distance_km):g} km, above {float(correlation.max_speed_kmh):g} km/h"
    )
    return (
        [*said[-_NAMED:], limits] if said else [f"no earlier event with a position within {span(correlation.timespan)}"]
    )


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (lat, lon), kilometres."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(radians, p)) for p in (a, b))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(h)))
