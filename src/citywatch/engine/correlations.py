"""Correlations: which base events match, how each type of rule says so, and what its evidence is.

One class a type. Each reads sorted runs of base events (`streams`), so a class is the contract's sentence about its
type and little else. An evaluator is *at once* where more events can only add matches; else it waits for the watermark.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from citywatch.engine.runs import (
    BEGINNING,
    Ints,
    Keys,
    Mask,
    Run,
    count_between,
    earliest,
    first_within,
    last_before,
    ranges,
)
from citywatch.engine.streams import Names, Stream, in_order
from citywatch.rules.model import Correlation, CorrelationType, Rule

_OPERATORS = {
    "gte": np.greater_equal,
    "gt": np.greater,
    "lte": np.less_equal,
    "lt": np.less,
    "eq": np.equal,
    "neq": np.not_equal,
}


@dataclass(slots=True)
class Matches:
    """Match events, sorted by (k, at, source, id): key, time of the event, time of the match, event, its stream."""

    k: Keys
    t: Ints
    at: Ints
    ref: Ints
    stream: Ints

    def __len__(self) -> int:
        return len(self.k)

    def take(self, rows: Ints | Mask) -> Matches:
        """Rows by position or mask."""
        return Matches(self.k[rows], self.t[rows], self.at[rows], self.ref[rows], self.stream[rows])


@dataclass(slots=True)
class Evidence:
    """Events beside the match event, flattened: `owner` says which of the asked matches an event belongs to."""

    owner: Ints
    ref: Ints


NO_EVIDENCE = Evidence(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Evaluator(ABC):
    """One rule over its streams. `limit` is how many events evidence may hold."""

    TYPE: ClassVar[CorrelationType]
    WAITS: ClassVar[bool] = True
    LIMIT: ClassVar[int] = 20

    def __init__(self, rule: Rule, streams: list[Stream], names: Names) -> None:
        self.rule = rule
        self.correlation: Correlation = rule.correlated
        self.streams = streams
        self.names = names
        self.span = self.correlation.timespan
        self.mark = f"matched:{rule.name}"
        if not self.waits:
            for stream in self._candidates():
                stream.mark(self.mark)

    @property
    def waits(self) -> bool:
        """Whether a match is known only when the watermark has passed it."""
        return self.WAITS

    def _candidates(self) -> list[Stream]:
        """Streams whose events can be match events, each once."""
        return list({id(s): s for s in self.streams}.values())

    def annotate(self) -> None:  # noqa: B027 - most types need nothing
        """Work out columns of the heads that later questions rest on."""

    @abstractmethod
    def test(self, run: Run, rows: Ints) -> Mask:
        """Which rows of a run are matches, looking at all that is known now."""

    def known(self, touched: Keys) -> Matches:
        """New matches among the events that may still change, of keys that got new events."""
        found = []
        for stream in self._candidates():
            start, end = stream.head.segments(touched)
            rows = ranges(start, end - start)
            marks = stream.head.columns[self.mark]
            rows = rows[~marks[rows]]
            rows = rows[stream.watched(stream.head.k[rows])]
            hits = rows[self.test(stream.head, rows)] if len(rows) else rows
            marks[hits] = True
            found.append(self._matches(stream, stream.head, hits))
        return self._once(found)

    def settled(self, blocks: dict[int, Run], before: int, watermark: int) -> Matches:  # noqa: ARG002 - the delayed types use them
        """Matches among the events that the watermark has just passed."""
        found = []
        for stream in self._candidates():
            block = blocks[stream.number]
            rows = np.flatnonzero(stream.watched(block.k))
            hits = rows[self.test(block, rows)] if len(rows) else rows
            found.append(self._matches(stream, block, hits))
        return self._once(found)

    def _matches(self, stream: Stream, run: Run, rows: Ints) -> Matches:
        t = run.t[rows]
        return Matches(run.k[rows], t, t + self._delay, run.ref[rows], np.full(len(rows), stream.number))

    _delay = 0

    def _once(self, found: list[Matches]) -> Matches:
        """One event that came through several streams is one match."""
        if len(found) == 1:
            return found[0]
        both = Matches(*(np.concatenate([getattr(m, n) for m in found]) for n in ("k", "t", "at", "ref", "stream")))
        order = np.lexsort((both.ref, both.k))
        again = (both.k[order][1:] == both.k[order][:-1]) & (both.ref[order][1:] == both.ref[order][:-1])
        both = both.take(order[np.concatenate(([True], ~again))] if len(order) else order)
        return both.take(in_order(both.k, both.at, both.ref, self.names))

    def evidence(self, matches: Matches) -> Evidence:  # noqa: ARG002 - some types have none
        """The earliest other events that the test counted or paired; the match event itself may be among them."""
        return NO_EVIDENCE

    def values(self, matches: Matches) -> list[dict[str, Any]]:
        """Numbers for people, one object a match."""
        return [{} for _ in range(len(matches))]

    def _window(self, matches: Matches, runs: list[list[Run]]) -> Evidence:
        """The earliest events in (t-T, t] of each group of runs."""
        parts = [earliest(group, matches.k, matches.t - self.span, matches.t, self.LIMIT) for group in runs]
        return Evidence(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))


class EventCount(Evaluator):
    """A base event with so many base events of its key in (t-T, t]."""

    TYPE = CorrelationType.EVENT_COUNT
    WORD = "count"

    @property
    def waits(self) -> bool:
        return any(operator not in ("gte", "gt") for operator, _ in self.correlation.condition)

    def _count(self, k: Keys, t: Ints) -> Ints:
        return count_between(self.streams[0].runs, k, t - self.span, t)

    def test(self, run: Run, rows: Ints) -> Mask:
        counts = self._count(run.k[rows], run.t[rows])
        hit = np.ones(len(rows), np.bool_)
        for operator, number in self.correlation.condition:
            hit &= _OPERATORS[operator](counts, number)
        return hit

    def evidence(self, matches: Matches) -> Evidence:
        return self._window(matches, [self.streams[0].runs])

    def values(self, matches: Matches) -> list[dict[str, Any]]:
        return [{self.WORD: n} for n in self._count(matches.k, matches.t).tolist()]


class ValueCount(EventCount):
    """A base event with so many distinct non-NULL values of a field in (t-T, t].

    A row *starts* a value where the value was not seen in the T before it, else it is *linked* to the row before with
    that value. In (a, t] with a = t-T stand as many values as rows that start there, plus linked rows after `a` whose
    predecessor is not after `a`; each is a difference of positions.
    """

    TYPE = CorrelationType.VALUE_COUNT
    WORD = "distinct"

    def annotate(self) -> None:
        annotate_previous_value(self.streams[0])

    def _count(self, k: Keys, t: Ints) -> Ints:
        total = np.zeros(len(k), np.int64)
        after = t - self.span
        for run in self.streams[0].runs:
            starts, links, predecessors = self._index(run)
            segments = run.segments(k)
            low, high = run.positions(segments, after, "right"), run.positions(segments, t, "right")
            total += starts[high] - starts[low] - (links[low] - links[segments[0]])
            links_of_key = predecessors.segments(k)
            total += predecessors.positions(links_of_key, after, "right") - links_of_key[0]
        return total

    def _index(self, run: Run) -> tuple[Ints, Ints, Run]:
        """Running numbers of starting and of linked rows, and the linked rows by the time of their predecessor."""
        name = f"distinct:{self.span}"
        if name not in run.derived:
            previous = run.columns["previous"].astype(np.int64)
            counted = (run.columns["v"] != 0) & ~run.columns["again"].astype(np.bool_)
            linked = counted & (previous > run.t - self.span)
            order = np.lexsort((previous[linked], run.k[linked]))
            by_predecessor = Run(run.k[linked][order], previous[linked][order], run.ref[linked][order])
            run.derived[name] = (_running(counted & ~linked), _running(linked), by_predecessor)
        index: tuple[Ints, Ints, Run] = run.derived[name]
        return index

    def evidence(self, matches: Matches) -> Evidence:
        return self._window(matches, [[_with_value(run) for run in self.streams[0].runs]])


class Temporal(Evaluator):
    """An event of any of the rules, when each has one in (t-T, t]."""

    TYPE = CorrelationType.TEMPORAL
    WAITS = False

    def test(self, run: Run, rows: Ints) -> Mask:
        hit = np.ones(len(rows), np.bool_)
        for stream in self.streams:
            hit &= count_between(stream.runs, run.k[rows], run.t[rows] - self.span, run.t[rows]) > 0
        return hit

    def evidence(self, matches: Matches) -> Evidence:
        return self._window(matches, [stream.runs for stream in self.streams])


class TemporalOrdered(Evaluator):
    """An event of the last rule that ends a chain t_1 < … < t_n, one event a rule, with t_1 > t_n - T.

    Each row of rule i carries the latest t_1 of a chain that ends in it. That never falls with time, so the last row
    before t has the latest of all.
    """

    TYPE = CorrelationType.TEMPORAL_ORDERED
    WAITS = False

    def _candidates(self) -> list[Stream]:
        return [self.streams[-1]]

    def _column(self, i: int) -> str:
        return f"chain:{self.rule.name}:{i}"

    def annotate(self) -> None:
        for i, stream in enumerate(self.streams):
            head = stream.head
            head.columns[self._column(i)] = head.t if i == 0 else self._begun(i - 1, head.k, head.t)

    def _begun(self, i: int, k: Keys, t: Ints) -> Ints:
        """Latest start of a chain through rule i whose event is before t."""
        column = self._column(i)
        return last_before(self.streams[i].runs, k, t, "left", column=lambda run: run.columns[column])

    def test(self, run: Run, rows: Ints) -> Mask:
        begun = run.columns[self._column(len(self.streams) - 1)][rows].astype(np.int64)
        return begun > run.t[rows] - self.span

    def evidence(self, matches: Matches) -> Evidence:
        return self._window(matches, [stream.runs for stream in self.streams])


class Flatline(Evaluator):
    """A base event after which none of its key came for T. Known when the watermark has passed t+T."""

    TYPE = CorrelationType.FLATLINE

    def __init__(self, rule: Rule, streams: list[Stream], names: Names) -> None:
        super().__init__(rule, streams, names)
        self._delay = self.span

    def _candidates(self) -> list[Stream]:
        return [self.streams[0]]

    @property
    def _answer(self) -> Stream:
        """The stream whose events break the silence."""
        return self.streams[0]

    def test(self, run: Run, rows: Ints) -> Mask:
        silent: Mask = count_between(self._answer.runs, run.k[rows], run.t[rows], run.t[rows] + self.span) == 0
        return silent

    def settled(self, blocks: dict[int, Run], before: int, watermark: int) -> Matches:  # noqa: ARG002 - looks further back
        stream = self.streams[0]
        found = []
        for run in stream.settled.runs:
            rows = _between(run, before - self.span, watermark - self.span)
            rows = rows[stream.watched(run.k[rows])]
            found.append(self._matches(stream, run, rows[self.test(run, rows)]))
        if not found:
            return self._matches(stream, stream.head, np.zeros(0, np.int64))
        return self._once(found)


class Absence(Flatline):
    """An event of A after which no event of B of its key came for T."""

    TYPE = CorrelationType.ABSENCE

    @property
    def _answer(self) -> Stream:
        return self.streams[1]


class Spike(Evaluator):
    """A base event where the count in (t-T, t] is at least so many times that in (t-2T, t-T]."""

    TYPE = CorrelationType.SPIKE

    def _counts(self, k: Keys, t: Ints) -> tuple[Ints, Ints]:
        runs = self.streams[0].runs
        return (
            count_between(runs, k, t - self.span, t),
            count_between(runs, k, t - 2 * self.span, t - self.span),
        )

    def test(self, run: Run, rows: Ints) -> Mask:
        current, reference = self._counts(run.k[rows], run.t[rows])
        rule = self.correlation
        height = rule.spike_height
        enough = (current >= rule.threshold_cur) & (reference >= rule.threshold_ref)
        return enough & (current * height.denominator >= reference * height.numerator)

    def evidence(self, matches: Matches) -> Evidence:
        return self._window(matches, [self.streams[0].runs])

    def values(self, matches: Matches) -> list[dict[str, Any]]:
        current, reference = self._counts(matches.k, matches.t)
        return [{"current": c, "reference": r} for c, r in zip(current.tolist(), reference.tolist(), strict=True)]


class NewTerms(Evaluator):
    """A base event with a value that no base event of its key had in [t-T, t)."""

    TYPE = CorrelationType.NEW_TERMS

    def annotate(self) -> None:
        annotate_previous_value(self.streams[0])

    def test(self, run: Run, rows: Ints) -> Mask:
        new: Mask = run.columns["previous"][rows] < run.t[rows] - self.span
        valued: Mask = run.columns["v"][rows] != 0
        return new & valued


class Change(Evaluator):
    """A base event whose value differs from that of the one just before it, if that is not older than T."""

    TYPE = CorrelationType.CHANGE

    def annotate(self) -> None:
        stream = self.streams[0]
        head = stream.head
        v = head.columns["v"]
        for name, own in (("before_t", head.t), ("before_v", v.view(np.int64)), ("before_ref", head.ref)):
            head.columns[name] = _of_row_before(stream, own, name.removeprefix("before_"))

    def test(self, run: Run, rows: Ints) -> Mask:
        near: Mask = run.columns["before_t"][rows] > run.t[rows] - self.span
        differs: Mask = run.columns["before_v"][rows] != run.columns["v"].view(np.int64)[rows]
        return near & differs

    def evidence(self, matches: Matches) -> Evidence:
        owners, refs = [], []
        for run in self.streams[0].runs:
            rows, owner = rows_of(run, matches)
            owners.append(owner)
            refs.append(run.columns["before_ref"][rows].astype(np.int64))
        return Evidence(np.concatenate(owners), np.concatenate(refs))


class Dwell(Evaluator):
    """A base event at the end of a run of events that all satisfy `where`, close together, for at least T."""

    TYPE = CorrelationType.DWELL

    def annotate(self) -> None:
        annotate_stay(self.streams[0], self._since, self.correlation.max_gap)

    @property
    def _since(self) -> str:
        return f"since:{self.correlation.max_gap}"

    def test(self, run: Run, rows: Ints) -> Mask:
        since = run.columns[self._since][rows].astype(np.int64)
        return (since > OUTSIDE) & (run.t[rows] - since >= self.span)

    def evidence(self, matches: Matches) -> Evidence:
        runs = self.streams[0].runs
        found = [rows_of(run, matches) for run in runs]
        since = np.zeros(len(matches), np.int64)
        for run, (rows, owner) in zip(runs, found, strict=True):
            since[owner] = run.columns[self._since][rows]
        bounds = []
        for run, (rows, owner) in zip(runs, found, strict=True):
            segments = run.segments(matches.k)
            high = run.positions(segments, matches.t, "right")
            high[owner] = rows + 1
            bounds.append((self._stay_from(run, segments, matches.t - self.span, since), high))
        return Evidence(*first_within(runs, bounds, self.LIMIT))

    def _stay_from(self, run: Run, segments: tuple[Ints, Ints], start: Ints, since: Ints) -> Ints:
        """Position of the first row at or after `start` that belongs to the stay; others may have that same time."""
        low = run.positions(segments, start, "left")
        size = run.positions(segments, start, "right") - low
        owner, rows = np.repeat(np.arange(len(low)), size), ranges(low, size)
        other = run.columns[self._since][rows] != since[owner]
        return low + np.bincount(owner[other], minlength=len(low))


OUTSIDE: int = np.iinfo(np.int64).min // 2
"""Start of the stay of an event that does not satisfy `where`."""


def annotate_stay(stream: Stream, name: str, max_gap: int) -> None:
    """Column `name`: since when the run of events goes on that ends in a row; OUTSIDE where `where` does not hold."""
    head = stream.head
    flag = head.columns["flag"].astype(np.bool_)
    last_t = _of_row_before(stream, head.t, "t")
    last_since = _of_row_before(stream, np.zeros(len(head), np.int64), name)  # true only for a key's first row
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


def _of_row_before(stream: Stream, own: Ints, name: str) -> Ints:
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


def rows_of(run: Run, matches: Matches) -> tuple[Ints, Ints]:
    """Positions in a run of those match events that it holds, and which matches they are."""
    start, end = run.segments(matches.k)
    low = run.positions((start, end), matches.t, "left")
    high = run.positions((start, end), matches.t, "right")
    rows = ranges(low, high - low)
    owner = np.repeat(np.arange(len(matches)), high - low)
    same = run.ref[rows] == matches.ref[owner]
    return rows[same], owner[same]


def _running(mask: Mask) -> Ints:
    return np.concatenate(([0], np.cumsum(mask)))


def _with_value(run: Run) -> Run:
    if "valued" not in run.derived:
        run.derived["valued"] = run.take(run.columns["v"] != 0)
    valued: Run = run.derived["valued"]
    return valued


def _between(run: Run, start: int, end: int) -> Ints:
    """Positions of the rows with start <= t < end, ascending, by an index over time that is made once a run."""
    if "by_time" not in run.derived:
        order = np.argsort(run.t, kind="stable")
        run.derived["by_time"] = (order, run.t[order])
    order, t = run.derived["by_time"]
    low, high = np.searchsorted(t, (start, end))
    return np.sort(order[low:high])
