"""Sorted runs: what a window question is answered from.

A run is a block of rows sorted by (k, t, source, id), where k is a hash of a group key and t an event time. Runs of one
stream cover disjoint spans of time, oldest first, so a key's rows are in order when its parts of the runs are taken one
after the other. How many rows a key has in (a, b] is a difference of two positions found by binary search: the work
depends on what is asked, not on what is kept. Small runs are merged into larger ones as in a log-structured merge tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]

BEGINNING: int = np.iinfo(np.int64).min // 4
"""Before every time: what a row without a predecessor has as the time of it."""

END: int = -BEGINNING
"""After every time."""

_MERGE_RATIO = 4


@dataclass(slots=True)
class Run:
    """Rows sorted by (k, t, source, id); `columns` are further arrays of the same length, in the same order."""

    k: Keys
    t: Ints
    ref: Ints
    columns: Columns = field(default_factory=dict)
    keys: Keys = field(init=False)
    starts: Ints = field(init=False)
    latest: int = field(init=False)
    derived: dict[str, Any] = field(default_factory=dict)
    """Indexes that evaluators build over this run once and look up often."""

    def __post_init__(self) -> None:
        self.latest = int(self.t.max()) if len(self.t) else BEGINNING
        first = np.flatnonzero(np.concatenate(([True], self.k[1:] != self.k[:-1]))) if len(self.k) else np.zeros(0, int)
        self.keys = self.k[first]
        self.starts = np.append(first, len(self.k)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.k)

    def take(self, rows: Ints | Mask) -> Run:
        """Rows by position (ascending) or mask; stays sorted."""
        return Run(self.k[rows], self.t[rows], self.ref[rows], {n: c[rows] for n, c in self.columns.items()})

    def segments(self, k: Keys) -> tuple[Ints, Ints]:
        """For each asked key the positions [start, end) of its rows; empty where it has none."""
        if not len(self.keys):
            zero = np.zeros(len(k), np.int64)
            return zero, zero
        at = np.searchsorted(self.keys, k)
        known = self.keys[np.minimum(at, len(self.keys) - 1)] == k
        at = np.where(known, at, 0)
        return np.where(known, self.starts[at], 0), np.where(known, self.starts[at + 1], 0)

    def positions(self, segments: tuple[Ints, Ints], t: Ints, side: str) -> Ints:
        """Where t stands within each segment: `left` = before equal times, `right` = after them."""
        return search(self.t, segments[0], segments[1], t, side)


def search(values: Ints, start: Ints, end: Ints, wanted: Ints, side: str) -> Ints:
    """`numpy.searchsorted` within one sorted segment [start, end) of `values` for each wanted value."""
    low, high = start.copy(), end.copy()
    active = np.flatnonzero(low < high)
    while len(active):
        middle = (low[active] + high[active]) >> 1
        value, want = values[middle], wanted[active]
        up = value <= want if side == "right" else value < want
        low[active[up]] = middle[up] + 1
        high[active[~up]] = middle[~up]
        active = active[low[active] < high[active]]
    return low


def join_runs(older: Run, newer: Run, keep_from: int) -> Run:
    """Merge two runs of which `newer` has only later times, leaving out rows before `keep_from`."""
    old = older.take(older.t >= keep_from) if len(older) and older.t.min() < keep_from else older
    k = np.concatenate((old.k, newer.k))
    order = np.argsort(k, kind="stable")
    both = {n: np.concatenate((c, newer.columns[n]))[order] for n, c in old.columns.items()}
    return Run(k[order], np.concatenate((old.t, newer.t))[order], np.concatenate((old.ref, newer.ref))[order], both)


@dataclass(slots=True)
class Runs:
    """Runs over disjoint spans of time, oldest first."""

    runs: list[Run] = field(default_factory=list)

    def append(self, run: Run, keep_from: int) -> None:
        """Add rows later than all others; merge so that each run is several times as long as the next one."""
        if len(run):
            self.runs.append(run)
        while len(self.runs) > 1 and len(self.runs[-2]) < _MERGE_RATIO * len(self.runs[-1]):
            newer = self.runs.pop()
            self.runs.append(join_runs(self.runs.pop(), newer, keep_from))
        while self.runs and self.runs[0].latest < keep_from:
            del self.runs[0]

    def __len__(self) -> int:
        return sum(map(len, self.runs))


def count_between(runs: list[Run], k: Keys, after: Ints, until: Ints) -> Ints:
    """Rows of each key with after < t <= until."""
    total = np.zeros(len(k), np.int64)
    for run in runs:
        segments = run.segments(k)
        total += run.positions(segments, until, "right") - run.positions(segments, after, "right")
    return total


def size_of(runs: list[Run], k: Keys) -> Ints:
    """Rows of each key, whatever their time."""
    total = np.zeros(len(k), np.int64)
    for run in runs:
        start, end = run.segments(k)
        total += end - start
    return total


def last_before(
    runs: list[Run], k: Keys, t: Ints, side: str, *, column: Callable[[Run], Ints], absent: int = BEGINNING
) -> Ints:
    """`column` of the last row of each key with time < t (side `left`) or <= t (`right`); `absent` where none is."""
    found = np.full(len(k), absent, np.int64)
    open_ = np.arange(len(k))
    for run in reversed(runs):
        segments = run.segments(k[open_])
        at = run.positions(segments, t[open_], side)
        hit = at > segments[0]
        found[open_[hit]] = column(run)[at[hit] - 1]
        open_ = open_[~hit]
        if not len(open_):
            break
    return found


def earliest(runs: list[Run], k: Keys, after: Ints, until: Ints, limit: int) -> tuple[Ints, Ints]:
    """The first `limit` rows of each key with after < t <= until: (asked index, ref), in (time, source, id) order."""
    bounds = []
    for run in runs:
        segments = run.segments(k)
        bounds.append((run.positions(segments, after, "right"), run.positions(segments, until, "right")))
    return first_within(runs, bounds, limit)


def first_within(runs: list[Run], bounds: list[tuple[Ints, Ints]], limit: int) -> tuple[Ints, Ints]:
    """The first `limit` rows over the positions [low, high) that are asked of each run: (asked index, ref)."""
    asked = len(bounds[0][0]) if bounds else 0
    left = np.full(asked, limit, np.int64)
    owners, refs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for run, (low, high) in zip(runs, bounds, strict=True):
        size = np.minimum(np.maximum(high - low, 0), left)
        left -= size
        owners.append(np.repeat(np.arange(asked), size))
        refs.append(run.ref[ranges(low, size)])
    owner, ref = np.concatenate(owners), np.concatenate(refs)
    order = np.argsort(owner, kind="stable")
    return owner[order], ref[order]


def ranges(start: Ints, size: Ints) -> Ints:
    """start[0], start[0]+1, … (size[0] numbers), start[1], … as one array."""
    total = int(size.sum())
    if not total:
        return np.zeros(0, np.int64)
    ends = np.cumsum(size)
    out: Ints = np.arange(total) + np.repeat(start - (ends - size), size)
    return out
