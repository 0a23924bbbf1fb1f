"""Columns of a head that say what came before each row; they stay true when the row is settled."""

from __future__ import annotations

import numpy as np

from citywatch.engine.runs import BEGINNING, Ints, Keys, Mask, Run, last_before
from citywatch.engine.streams import Stream

OUTSIDE: int = np.iinfo(np.int64).min // 2
"""Start of the stay of an event that does not satisfy `where`."""


def annotate_stay(stream: Stream, name: str, max_gap: int) -> None:
    """Column `name`: since when the run of events goes on that ends in a row; OUTSIDE where `where` does not hold."""
    head = stream.head
    flag = head.columns["flag"].astype(np.bool_)
    last_t = of_row_before(stream, head.t, "t")
    last_since = of_row_before(stream, np.zeros(len(head), np.int64), name)  # true only for a key's first row
    first = _first_of_key(head)
    was_inside = np.where(first, last_since > OUTSIDE, np.concatenate(([False], flag[:-1]))[: len(head)])
    goes_on = flag & was_inside & (head.t - last_t <= max_gap)
    begins = flag & ~goes_on
    since = np.where(first & goes_on, last_since, head.t)
    anchor = np.maximum.accumulate(np.where(begins | first | ~flag, np.arange(len(head)), 0)) if len(head) else first
    head.columns[name] = np.where(flag, since[anchor], OUTSIDE)


def annotate_previous_value(stream: Stream) -> None:
    """Columns `previous`: last time < t at which the key had the row's value; `again`: an equal row is just before."""
    head = stream.head
    if "previous" in head.columns:
        return
    both = _mixed(head.k, head.columns["v"].astype(np.uint64))
    order = np.lexsort((head.t, both))
    b, t = both[order], head.t[order]
    same = np.concatenate(([False], b[1:] == b[:-1]))[: len(b)]
    again = np.concatenate(([False], (b[1:] == b[:-1]) & (t[1:] == t[:-1])))[: len(b)]
    earlier = np.concatenate(([0], t[:-1]))[: len(b)]
    first = np.flatnonzero(~same)
    earlier[first] = _last_seen(stream, b[first])
    anchor = np.maximum.accumulate(np.where(again, 0, np.arange(len(b)))) if len(b) else first
    previous, repeated = np.empty(len(b), np.int64), np.empty(len(b), np.bool_)
    previous[order], repeated[order] = earlier[anchor], again
    head.columns["previous"], head.columns["again"] = previous, repeated


def _last_seen(stream: Stream, both: Keys) -> Ints:
    """Last settled time of each (key, value)."""
    seen = np.full(len(both), BEGINNING, np.int64)
    for run in stream.settled.runs:
        if "values" not in run.derived:
            mixed = _mixed(run.k, run.columns["v"].astype(np.uint64))
            order = np.lexsort((run.t, mixed))
            last = np.flatnonzero(np.concatenate((mixed[order][1:] != mixed[order][:-1], [True])))
            run.derived["values"] = (mixed[order][last], run.t[order][last])
        values, times = run.derived["values"]
        at = np.minimum(np.searchsorted(values, both), len(values) - 1)
        seen = np.where(values[at] == both, np.maximum(seen, times[at]), seen)
    return seen


def _mixed(k: Keys, v: Keys) -> Keys:
    """One hash of a key and a value."""
    mixed = k ^ (v * np.uint64(0x9E3779B97F4A7C15))
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    out: Keys = mixed ^ (mixed >> np.uint64(32))
    return out


def _first_of_key(run: Run) -> Mask:
    first = np.zeros(len(run), np.bool_)
    first[run.starts[:-1]] = True
    return first


def of_row_before(stream: Stream, own: Ints, name: str) -> Ints:
    """For each row of the head `own` of the row of its key just before it, settled rows included; BEGINNING if none."""

    def column(run: Run) -> Ints:
        if name in ("t", "ref"):
            value: Ints = getattr(run, name)
            return value
        stored = run.columns[name]
        return stored.view(np.int64) if stored.dtype == np.uint64 else stored.astype(np.int64)

    head = stream.head
    before = np.concatenate(([BEGINNING], own[:-1]))[: len(head)]
    first = head.starts[:-1]
    before[first] = last_before(stream.settled.runs, head.k[first], head.t[first], "right", column=column)
    return before
