"""A stream: the base events of correlations by key, in two parts.

The *head* holds what is not older than the watermark, so that an event may still come in before another. What is older
is *settled*: no event can come in before it any more, so whatever was worked out about it (the value before, the start
of a run) stays true, and is kept beside it in a column.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.derive import BaseRows, StreamSpec
from citywatch.engine.runs import (
    END,
    Columns,
    Ints,
    Keys,
    Mask,
    Run,
    Runs,
    count_between,
    last_before,
    size_of,
)

Names = Callable[[Ints], pa.Table]
"""(ref) -> table of `source` and `id` of these events, in the same order."""


def in_order(k: Keys, t: Ints, ref: Ints, names: Names) -> Ints:
    """Permutation that sorts rows by (k, t, source, id); the texts are fetched only for rows that are equal without."""
    order = np.lexsort((t, k))
    same = (k[order][1:] == k[order][:-1]) & (t[order][1:] == t[order][:-1])
    if not same.any():
        return order
    tied = np.concatenate((same, [False])) | np.concatenate(([False], same))
    rows = order[tied]
    refs, inverse = np.unique(ref[rows], return_inverse=True)
    by_name = pc.sort_indices(names(refs), sort_keys=[("source", "ascending"), ("id", "ascending")]).to_numpy()
    rank_of_ref = np.empty(len(refs), np.int64)
    rank_of_ref[by_name] = np.arange(len(refs))
    rank = np.zeros(len(k), np.int64)
    rank[rows] = rank_of_ref[inverse]
    return np.lexsort((rank, t, k))


class Stream:
    """State of one stream: `number` names it in the tables, `marks` are columns of the head that rules keep."""

    def __init__(self, number: int, spec: StreamSpec) -> None:
        self.number = number
        self.spec = spec
        self.settled = Runs()
        self.head = _empty(spec)
        self.marks: list[str] = []
        self.overfull: Keys = np.zeros(0, np.uint64)
        """Keys with more kept events than the guard allows: not evaluated until they shrink."""

    @property
    def runs(self) -> list[Run]:
        """All rows, oldest run first; the head is the last one."""
        return [*self.settled.runs, self.head]

    def add(self, rows: BaseRows, names: Names) -> None:
        """Put new rows in their places in the head."""
        new = rows_as_columns(rows, self.spec)
        for mark in self.marks:
            new[mark] = np.zeros(len(rows), np.bool_)
        k = np.concatenate((self.head.k, rows.k))
        t = np.concatenate((self.head.t, rows.t))
        ref = np.concatenate((self.head.ref, rows.ref))
        order = in_order(k, t, ref, names)
        columns = {n: np.concatenate((c, new[n]))[order] for n, c in self.head.columns.items() if n in new}
        self.head = Run(k[order], t[order], ref[order], columns)

    def watched(self, k: Keys) -> Mask:
        """Which rows belong to keys that are evaluated."""
        return ~np.isin(k, self.overfull) if len(self.overfull) else np.ones(len(k), np.bool_)

    def guard(self, touched: Keys, limit: int) -> Keys:
        """Find keys with more than `limit` events in the window of their newest one; returns those not yet known."""
        runs = self.runs
        asked = np.union1d(touched, self.overfull) if len(self.overfull) else touched
        asked = asked[size_of(runs, asked) > limit]
        if not len(asked):
            self.overfull = asked
            return asked
        newest = last_before(runs, asked, np.full(len(asked), END), "right", column=lambda run: run.t)
        crowded = asked[count_between(runs, asked, newest - self.spec.retention, newest) > limit]
        fresh = np.setdiff1d(crowded, self.overfull)
        self.overfull = crowded
        return fresh

    def mark(self, name: str) -> None:
        """Add a column of the head: false for what comes in."""
        self.marks.append(name)
        self.head.columns[name] = np.zeros(len(self.head), np.bool_)

    def split(self, watermark: int) -> Run:
        """Take out of the head what the watermark has passed; `settle` puts it back once it is annotated."""
        old = self.head.t < watermark
        block = self.head.take(old)
        for mark in self.marks:
            del block.columns[mark]
        if old.any():
            self.head = self.head.take(~old)
        return block

    def settle(self, block: Run, watermark: int) -> None:
        """Keep a block from `split`; forget what no question reaches any more."""
        self.settled.append(block, watermark - self.spec.retention)


def rows_as_columns(rows: BaseRows, spec: StreamSpec) -> Columns:
    """The columns that rows of this stream have beside k, t and ref."""
    columns: Columns = {}
    if spec.field:
        columns["v"] = rows.v
    if spec.whole:
        columns["flag"] = rows.flag
    if spec.placed:
        columns["lat"], columns["lon"] = rows.lat, rows.lon
    return columns


def _empty(spec: StreamSpec) -> Run:
    none = np.zeros(0, np.int64)
    nothing = BaseRows(
        none.astype(np.uint64),
        none,
        none,
        none.astype(np.uint64),
        none.astype(np.bool_),
        none.astype(np.float64),
        none.astype(np.float64),
        pa.array([], pa.string()),
    )
    return Run(nothing.k, none, none, rows_as_columns(nothing, spec))
