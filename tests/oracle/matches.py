"""Section 2: the table of correlation types. One function a row, over all events of one key, without any cleverness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.oracle.events import Event, duration
from tests.oracle.geometry import haversine_km

HOUR = 3_600_000_000


@dataclass(frozen=True)
class Member:
    """An event that takes part in a correlation under one key.

    `roles`: which of the named rules it satisfies under this key, by position (the document's own base is 0).
    Only `dwell` also sees events of the logsource that do not satisfy `where`: they have no role.
    """

    event: Event
    roles: frozenset[int]

    @property
    def time(self) -> int:
        return self.event.time

    @property
    def order(self) -> tuple[int, str, str]:
        return self.event.order


@dataclass(frozen=True)
class Match:
    """The match time, the match event, and what the evidence takes beside it."""

    time: int
    event: Event
    others: Sequence[Member] = ()


Key = list[Member]
"""All members of one key k, in (time, source, id) order."""

Row = Callable[[dict[str, Any], int, Key], Iterator[Match]]

OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "gte": lambda count, n: count >= n,
    "gt": lambda count, n: count > n,
    "lte": lambda count, n: count <= n,
    "lt": lambda count, n: count < n,
    "eq": lambda count, n: count == n,
    "neq": lambda count, n: count != n,
}


def satisfied(correlation: dict[str, Any], count: int) -> bool:
    """Several operators: all hold."""
    return all(OPERATORS[name](count, n) for name, n in correlation["condition"].items() if name in OPERATORS)


def known_at_once(correlation: dict[str, Any]) -> bool:
    """The table's last column."""
    if correlation["type"] in ("event_count", "value_count"):
        return all(name in ("gte", "gt") for name in correlation["condition"] if name in OPERATORS)
    return correlation["type"] in ("temporal", "temporal_ordered", "impossible_travel")


def within(key: Key, after: int, until: int) -> Key:
    """Members in (after, until]."""
    return [member for member in key if after < member.time <= until]


def event_count(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    for e in key:
        window = within(key, e.time - span, e.time)
        if satisfied(correlation, len(window)):
            yield Match(e.time, e.event, window)


def value_count(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    field = correlation["condition"]["field"]
    for e in key:
        valued = [m for m in within(key, e.time - span, e.time) if m.event.fields[field] is not None]
        if satisfied(correlation, len({m.event.fields[field] for m in valued})):
            yield Match(e.time, e.event, valued)


def temporal(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    for e in key:
        window = within(key, e.time - span, e.time)
        if all(any(role in m.roles for m in window) for role in range(len(correlation["rules"]))):
            yield Match(e.time, e.event, window)


def temporal_ordered(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    last = len(correlation["rules"]) - 1
    for e in key:
        window = within(key, e.time - span, e.time)
        if last in e.roles and _chain(window, last - 1, before=e.time):
            yield Match(e.time, e.event, window)


def _chain(window: Key, role: int, before: int) -> bool:
    """Whether the window holds events of rules 0..role at strictly rising times, the last of them before `before`."""
    if role < 0:
        return True
    return any(role in m.roles and m.time < before and _chain(window, role - 1, m.time) for m in window)


def absence(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    for e in key:
        if 0 in e.roles and not any(1 in m.roles for m in within(key, e.time, e.time + span)):
            yield Match(e.time + span, e.event)


def flatline(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    for e in key:
        if not within(key, e.time, e.time + span):
            yield Match(e.time + span, e.event)


def spike(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    height = Fraction(str(correlation["spike_height"]))
    for e in key:
        window = within(key, e.time - span, e.time)
        current, reference = len(window), len(within(key, e.time - 2 * span, e.time - span))
        enough = current >= correlation.get("threshold_cur", 1) and reference >= correlation.get("threshold_ref", 1)
        if enough and current >= height * reference:
            yield Match(e.time, e.event, window)


def new_terms(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    field = correlation["field"]
    for e in key:
        value = e.event.fields[field]
        before = [m for m in key if e.time - span <= m.time < e.time]
        if value is not None and not any(m.event.fields[field] == value for m in before):
            yield Match(e.time, e.event)


def change(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    field = correlation["field"]
    for before, e in pairwise(key):
        if before.event.fields[field] != e.event.fields[field] and before.time > e.time - span:
            yield Match(e.time, e.event, [before])


def dwell(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    gap = duration(correlation["max_gap"])
    run: Key = []
    for e in key:
        if run and e.time - run[-1].time > gap:
            run = []
        run = [*run, e] if e.roles else []
        if run and e.time - run[0].time >= span:
            yield Match(e.time, e.event, [m for m in run if e.time - span <= m.time <= e.time])


def impossible_travel(correlation: dict[str, Any], span: int, key: Key) -> Iterator[Match]:
    for e in key:
        pairs = [p for p in within(key, e.time - span, e.time) if p.order < e.order and _too_far(correlation, p, e)]
        if pairs:
            yield Match(e.time, e.event, pairs)


def _too_far(correlation: dict[str, Any], p: Member, e: Member) -> bool:
    places = [member.event.fields[name] for member in (p, e) for name in ("lat", "lon")]
    if None in places:
        return False
    distance = haversine_km(*places)
    least, speed = correlation.get("min_distance_km", 0), correlation["max_speed_kmh"]
    return bool(distance >= least and distance > speed * (e.time - p.time) / HOUR)


ROWS: dict[str, Row] = {
    row.__name__: row
    for row in (
        event_count,
        value_count,
        temporal,
        temporal_ordered,
        absence,
        flatline,
        spike,
        new_terms,
        change,
        dwell,
        impossible_travel,
    )
}
