"""Correlations: which base events match, how each type of rule says so, and what its evidence is.

One class a type. Each reads sorted runs of base events (`streams`), so a class is the contract's sentence about its
type and little else. An evaluator is *at once* where more events can only add matches; else it waits for the watermark.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from citywatch.engine.annotations import OUTSIDE, annotate_previous_value, annotate_stay, of_row_before
from citywatch.engine.evaluator import Evaluator, Evidence, Matches, in_time, rows_of
from citywatch.engine.runs import (
    Ints,
    Keys,
    Mask,
    Run,
    count_between,
    first_within,
    last_before,
    ranges,
)
from citywatch.engine.streams import Names, Stream
from citywatch.rules.model import CorrelationType, Rule

_OPERATORS = {
    "gte": np.greater_equal,
    "gt": np.greater,
    "lte": np.less_equal,
    "lt": np.less,
    "eq": np.equal,
    "neq": np.not_equal,
}


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
        return in_time(found) if found else self._matches(stream, stream.head, np.zeros(0, np.int64))


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
            head.columns[name] = of_row_before(stream, own, name.removeprefix("before_"))

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
        """Position of the first row at or after `start` that belongs to the stay.

        Others may have that same time, and stand before it: what broke a stay, and all of a stay that it broke.
        """
        low = run.positions(segments, start, "left")
        size = run.positions(segments, start, "right") - low
        owner, rows = np.repeat(np.arange(len(low)), size), ranges(low, size)
        other = run.columns[self._since][rows] != since[owner]
        np.maximum.at(low, owner[other], rows[other] + 1)
        return low


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
