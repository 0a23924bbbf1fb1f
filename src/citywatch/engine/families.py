"""Evaluators that share streams: what a batch means to one such family is worked out apart from all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from citywatch.engine.derive import BaseRows
from citywatch.engine.evaluator import Evaluator, Matches
from citywatch.engine.runs import Keys, Run
from citywatch.engine.streams import Names, Stream

NO_KEYS: Keys = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Found:
    """What a batch means to one rule: the keys it touched, the matches that are known at once, those that waited."""

    evaluator: Evaluator
    touched: Keys
    known: Matches | None = None
    settled: Matches | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What families need of a batch: base rows by stream number, names of events, the watermark before and after."""

    rows: Mapping[int, BaseRows]
    names: Names
    before: int
    watermark: int
    key_limit: int


@dataclass(frozen=True, slots=True)
class Family:
    """Evaluators and the streams that they, and no others, read."""

    streams: list[Stream]
    evaluators: list[Evaluator]

    def work_out(self, batch: Batch) -> tuple[list[Found], list[tuple[Stream, Keys]]]:
        """What the batch means to each rule, and the keys that have grown too large with it."""
        touched = {s.number: self._add(s, batch) for s in self.streams}
        crowded = [(s, s.guard(touched[s.number], batch.key_limit)) for s in self.streams]
        found = [self._known(e, touched) for e in self.evaluators]
        if batch.watermark > batch.before:
            found += self._settled(batch)
        return found, [(stream, keys) for stream, keys in crowded if len(keys)]

    def _add(self, stream: Stream, batch: Batch) -> Keys:
        rows = batch.rows.get(stream.number)
        if rows is None:
            return NO_KEYS
        stream.add(rows, batch.names)
        return np.unique(rows.k)

    def _known(self, evaluator: Evaluator, touched: Mapping[int, Keys]) -> Found:
        keys = _united([touched[number] for number in {s.number for s in evaluator.streams}])
        if len(keys):
            evaluator.annotate()
        if evaluator.waits or not len(keys):
            return Found(evaluator, keys)
        return Found(evaluator, keys, known=evaluator.known(keys))

    def _settled(self, batch: Batch) -> list[Found]:
        blocks: dict[int, Run] = {}
        for stream in self.streams:
            blocks[stream.number] = stream.split(batch.watermark)
            stream.settle(blocks[stream.number], batch.before)
        waiting = [e for e in self.evaluators if e.waits]
        return [Found(e, NO_KEYS, settled=e.settled(blocks, batch.before, batch.watermark)) for e in waiting]


def families(evaluators: Iterable[Evaluator]) -> list[Family]:
    """Evaluators parted so that no two families have a stream in common."""
    found: list[Family] = []
    for evaluator in evaluators:
        numbers = {s.number for s in evaluator.streams}
        related = [f for f in found if numbers & {s.number for s in f.streams}]
        streams = {s.number: s for f in related for s in f.streams} | {s.number: s for s in evaluator.streams}
        members = [e for f in related for e in f.evaluators]
        found = [f for f in found if f not in related]
        found.append(Family(list(streams.values()), [*members, evaluator]))
    return found


def _united(keys: list[Keys]) -> Keys:
    if len(keys) == 1:
        return keys[0]
    return np.unique(np.concatenate(keys)) if keys else NO_KEYS
