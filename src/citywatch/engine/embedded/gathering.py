"""Chunks of many senders who wait: those that are there at the same time are parsed and committed together.

Parsing costs its statements as long as there are few records, and a commit costs its flush: a hundred senders at once
must not pay for either a hundred times.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from citywatch.engine.embedded.bounded import Parse
from citywatch.engine.embedded.doors import GATHER_ROWS
from citywatch.engine.embedded.intake import Receipt
from citywatch.errors import CapacityError
from citywatch.records.chunk import Chunk, Outcome, Parsed
from citywatch.records.columns import Mask, Positions, listed

if TYPE_CHECKING:
    from citywatch.engine.embedded.engine import Engine

WAITING_ROWS = 200_000
WAITING_BYTES = 64 << 20
"""When more than that waits to be parsed, senders are told to come again."""

SOME, MANY = 500, 2_000
"""Fewer records are better parsed in the company of others; so many pay for the parser's statements by themselves."""

_FEW = 100
BRIEF_REST_S, _LONG_REST_S = 0.025, 0.1


class _Waiting(NamedTuple):
    chunk: Chunk
    outcome: Future[Outcome]
    size: int
    since: float

    @property
    def rows(self) -> int:
        return len(self.chunk.records) + _faults(self.chunk)


class Gathering:
    """One thread that parses what others leave, as one live source of the engine.

    Parameters
    ----------
    name
        What the clock knows it by.
    parse
        Of use to this thread only.
    """

    def __init__(self, engine: Engine, name: str, parse: Parse) -> None:
        self._live = engine.live(name)
        self._engine = engine
        self._parse = parse
        self._waiting: list[_Waiting] = []
        self._rows = self._bytes = 0
        self._enough = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"parser of {name}", daemon=True)
        self._thread.start()

    def enter(self, chunk: Chunk) -> Future[Outcome]:
        """Leave a chunk. Raises CapacityError when too much waits, or when nothing is taken any more.

        The outcome is set when it would survive a power cut, or it has the CitywatchError for which nothing of the
        chunk was accepted.
        """
        waiting = _Waiting(chunk, Future(), chunk.records.nbytes, time.monotonic())
        waiting.outcome.set_running_or_notify_cancel()  # who has gone away cannot call it off
        with self._changed:
            if self._closed:
                raise CapacityError("the engine is stopping", hint="send again when it is back")
            if self._rows > WAITING_ROWS or self._bytes > WAITING_BYTES:
                raise CapacityError(f"{self._rows:,} records are waiting already", hint="send again in a second")
            self._count(waiting, 1)
            self._live.begin()
            self._waiting.append(waiting)
            if self._rows >= self._enough:
                self._changed.notify()
        return waiting.outcome

    def stop(self) -> None:
        """Take nothing more; what was left is still parsed and handed in."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._engine.forget(self._live.name)

    def _count(self, waiting: _Waiting, sign: int) -> None:
        self._rows += sign * waiting.rows
        self._bytes += sign * waiting.size

    def _run(self) -> None:
        while group := self._gathered():
            began = time.monotonic()
            for alike in _alike(group):
                self._take(alike)
            self._live.end(len(group))
            self._rest(sum(waiting.rows for waiting in group), time.monotonic() - began)

    def _rest(self, rows: int, worked: float) -> None:
        """As long as it worked, at most, and until as much waits again: in company each record costs less.

        Nobody waits for that longer than a while. A trickle leaves half of a core to others.
        """
        patience = _LONG_REST_S if rows < _FEW else BRIEF_REST_S
        with self._changed:
            waited = time.monotonic() - self._waiting[0].since if self._waiting else 0.0
            self._enough = min(max(rows, SOME), MANY)
            rest = max(min(worked, patience - waited), 0.0)
            self._changed.wait_for(lambda: self._rows >= self._enough or self._closed, rest)
            self._enough = 0

    def _gathered(self) -> list[_Waiting]:
        """What waits, bounded; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            rows = np.cumsum([waiting.rows for waiting in self._waiting])
            count = int(np.searchsorted(rows, GATHER_ROWS)) + 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            for waiting in group:
                self._count(waiting, -1)
            return group

    def _take(self, group: Sequence[_Waiting]) -> None:
        """Parse and hand in together; what goes wrong in company is tried alone, so that it hurts nobody else."""
        chunks = [waiting.chunk for waiting in group]
        try:
            parsed = self._parse(together(chunks))
            receipt = self._engine.submit_later(parsed, self._live.name)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, CapacityError):
                for waiting in group:
                    self._take([waiting])
                return
            for waiting in group:
                waiting.outcome.set_exception(error)
            return
        receipt.add_done_callback(partial(_tell, group, parsed))


def _tell(group: Sequence[_Waiting], parsed: Parsed, receipt: Future[Receipt]) -> None:
    """Each sender of a group hears of its own records."""
    if error := receipt.exception():
        for waiting in group:
            waiting.outcome.set_exception(error)
        return
    outcomes = apart(parsed, receipt.result().new, [waiting.chunk for waiting in group])
    for waiting, outcome in zip(group, outcomes, strict=True):
        waiting.outcome.set_result(outcome)


def _alike(group: Sequence[_Waiting]) -> list[list[_Waiting]]:
    """Those that can be one chunk, by the order of the first of each kind."""
    kinds = defaultdict(list)
    for waiting in group:
        c = waiting.chunk
        kinds[c.origin, c.format, c.header, c.delimiter, c.mapping, c.ordinals is None].append(waiting)
    return list(kinds.values())


def together(chunks: Sequence[Chunk]) -> Chunk:
    """Chunks of one origin and kind as one, records in their order, then faults."""
    if len(chunks) == 1:
        return chunks[0]
    faults = [chunk.faults for chunk in chunks if chunk.faults is not None]
    ordinals = [chunk.ordinals for chunk in chunks if chunk.ordinals is not None]
    return replace(
        chunks[0],
        records=pa.concat_tables([chunk.records for chunk in chunks]),
        faults=pa.concat_tables(faults) if faults else None,
        ordinals=np.concatenate(ordinals) if ordinals else None,
    )


def apart(parsed: Parsed, new: Mask, chunks: Sequence[Chunk]) -> list[Outcome]:
    """What became of each of the chunks that `together` made one; `new` says which of the events are."""
    records = _edges([len(chunk.records) for chunk in chunks])
    faults = records[-1] + _edges([_faults(chunk) for chunk in chunks])
    owner = np.searchsorted(records, _rows(parsed.rows), side="right")
    accepted, known = (np.bincount(owner[which], minlength=len(chunks) + 1).tolist() for which in (new, ~new))
    refused: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row, reason in zip(_rows(parsed.refused).tolist(), listed(parsed.rejected["reason"]), strict=True):
        sender = int(np.searchsorted(records if row < records[-1] else faults, row, side="right"))
        before = records[sender - 1] if row < records[-1] else faults[sender - 1] - len(chunks[sender - 1].records)
        refused[sender].append((row - int(before), reason))
    return [Outcome(accepted[n], known[n], tuple(refused[n])) for n in range(1, len(chunks) + 1)]


def by_owner(table: pa.Table, owner: Positions, count: int) -> list[pa.Table]:
    """The rows of each owner (from 1 to `count`), in their order."""
    if (np.diff(owner) < 0).any():
        order = np.argsort(owner, kind="stable")
        table, owner = table.take(order), owner[order]
    edges = np.searchsorted(owner, np.arange(1, count + 2))
    return [table.slice(start, stop - start) for start, stop in pairwise(edges.tolist())]


def _edges(sizes: Sequence[int]) -> Positions:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def _faults(chunk: Chunk) -> int:
    return 0 if chunk.faults is None else len(chunk.faults)


def _rows(rows: Positions | None) -> Positions:
    return np.empty(0, np.int64) if rows is None else rows
