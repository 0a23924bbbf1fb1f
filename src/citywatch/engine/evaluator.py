"""What every type of correlation has in common: match events, evidence, and when a match is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from citywatch.engine.runs import Ints, Keys, Mask, Run, earliest, ranges
from citywatch.engine.streams import Names, Stream, in_order
from citywatch.rules.model import Correlation, CorrelationType, Rule


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
        both = _joined(found)
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


def _joined(found: list[Matches]) -> Matches:
    return Matches(*(np.concatenate([getattr(m, n) for m in found]) for n in ("k", "t", "at", "ref", "stream")))


def in_time(found: list[Matches]) -> Matches:
    """Matches of runs, oldest first. Equal times stand in one run and in order there, which a stable sort keeps."""
    both = _joined(found)
    return both.take(np.lexsort((both.at, both.k)))


def rows_of(run: Run, matches: Matches) -> tuple[Ints, Ints]:
    """Positions in a run of those match events that it holds, and which matches they are."""
    start, end = run.segments(matches.k)
    low = run.positions((start, end), matches.t, "left")
    high = run.positions((start, end), matches.t, "right")
    rows = ranges(low, high - low)
    owner = np.repeat(np.arange(len(matches)), high - low)
    same = run.ref[rows] == matches.ref[owner]
    return rows[same], owner[same]
