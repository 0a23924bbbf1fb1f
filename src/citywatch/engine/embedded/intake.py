"""The intake: which records are new, what they are numbered, and the moment from which they cannot be lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from citywatch.engine.embedded.clock import BEGINNING, Clock
from citywatch.records.chunk import Parsed
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import Manifest
from citywatch.stores.identity import Identities, Verdict
from citywatch.stores.log import Counts, Footer, Log

_IDENTITY = ["seq", "ident_hi", "ident_lo", "fingerprint"]
_SPACE = 2
"""A batch needs at most so many times its size in memory: the segment, and what the step keeps of it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Parsed records of one source on their way in.

    `source` is the name that the clock knows; empty for what people and the engine itself say: that is no source and
    does not move the clock, so that a correction made today does not end the reading of last year's files. `reached`
    says how far a log is read with it, by part: written down when the records are safe.
    """

    parsed: Parsed
    source: str
    reached: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one submission; what it acknowledges survives a power cut.

    `first`..`last` are the numbers of its events in the log, 0 and 0 when none was new; `new` says of each event that
    was submitted whether it was.
    """

    accepted: int
    duplicates: int
    conflicts: int
    rejected: int
    late: int = 0
    backfill: int = 0
    first: int = 0
    last: int = 0
    new: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """New events, numbered and on the disk, and the clock after them."""

    events: pa.Table
    clock: int
    last: int


class Intake:
    """Writes the log of one data directory. One thread at a time calls `commit`.

    Parameters
    ----------
    data
        The directory, which the caller holds locked.
    clock
        µs that the step has reached: the clock is kept, also where no event moved it.
    """

    def __init__(self, data: DataDirectory, settings: Settings, *, clock: int = BEGINNING) -> None:
        self._data = data
        self._settings = settings
        self._log = Log(data.log)
        self._desk = Desk(data.desk)
        self.identities = Identities(data.identity)
        self.last, footer = self._reached()
        self.counts = footer.counts
        self.clock = Clock(max(footer.clock, clock))
        self._remember_log()

    def close(self) -> None:
        """Close the desk."""
        self._desk.close()

    def _reached(self) -> tuple[int, Footer]:
        """Number of the last event that was ever accepted, and what its segment said."""
        published = Manifest.read(self._data.history)
        last = self._log.last()
        if last is not None and last.last > published.seq:
            return last.last, self._log.footer(last)
        return published.seq, published.footer or Footer(BEGINNING, Counts())

    def _remember_log(self) -> None:
        """Add what the index has no file of: the newest segments, or, where it was lost, all of history."""
        known = self.identities.cursor
        published = Manifest.read(self._data.history)
        if known < published.seq:
            for file in published.files():
                table = pq.read_table(self._data.history / file.path, columns=_IDENTITY, partitioning=None)
                self.identities.add(*_identity(table.filter(pc.field("seq") > known)), known)
            self.identities.flush(published.seq)
        for segment in self._log.segments(self.identities.cursor):
            table = self._log.read(segment, self.identities.cursor, _IDENTITY)
            self.identities.add(*_identity(table), segment.last)

    def commit(self, submissions: Sequence[Submission]) -> tuple[list[Receipt], Accepted | None]:
        """Take in submissions in their order as one segment; durable when it returns.

        Returns a receipt for each, and what is new (None when nothing is). Raises DiskFullError or StoreError, and then
        nothing was accepted.
        """
        whole = _Joined(submissions)
        self._data.require_space(_SPACE * whole.nbytes)
        if rejected := whole.rejected():
            self._desk.put_rejected(pa.concat_tables(rejected))
        hi, lo, fingerprint = _identity(whole.events)
        verdict = self.identities.judge(hi, lo, fingerprint)
        new = verdict == Verdict.NEW
        events, backfill = self._numbered(whole, new)
        receipts = whole.receipts(verdict, backfill, self.last + 1)
        counts = _added(self.counts, receipts, _count(events, "stale"))
        if len(events):
            self._log.append(events, Footer(self.clock.now, counts))
            self.last += len(events)
            self.identities.add(hi[new], lo[new], fingerprint[new], self.last)
            if self.identities.flush_due():
                self.identities.flush()
        self.counts = counts
        if reached := whole.reached():
            # Behind the events: a kill in between is a repeat, and never a loss.
            self._desk.move_cursors(reached)
        return receipts, Accepted(events, self.clock.now, self.last) if len(events) else None

    def _numbered(self, whole: _Joined, new: npt.NDArray[np.bool_]) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        """The new events with seq and backfill, and whether each record of all is backfill."""
        events = whole.events if new.all() else whole.events.filter(pa.array(new))
        backfill = np.zeros(len(new), dtype=np.bool_)
        received = _times(events)
        rows = np.flatnonzero(new)
        for submission, start, stop in whole.parts():
            part = slice(*np.searchsorted(rows, (start, stop)))
            times = received[part]
            if len(times):
                before = self.clock.before(submission.source, times)
                backfill[rows[part]] = times < before - self._settings.disorder
            if len(times) and submission.source:
                self.clock.hear(submission.source, int(times.max()))
        seq = np.arange(self.last + 1, self.last + 1 + len(events))
        events = _set(events, "seq", pa.array(seq))
        return _set(events, "backfill", pa.array(backfill[rows])), backfill


class _Joined:
    """Several submissions as one table, and where each begins."""

    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._submissions = submissions
        tables = [submission.parsed.events for submission in submissions]
        self.events = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        self.nbytes = self.events.nbytes + sum(table.nbytes for table in self.rejected())
        self._edges = np.concatenate(([0], np.cumsum([len(table) for table in tables])))

    def parts(self) -> list[tuple[Submission, int, int]]:
        """(submission, first row, row after its last)."""
        return list(zip(self._submissions, self._edges[:-1].tolist(), self._edges[1:].tolist(), strict=True))

    def rejected(self) -> list[pa.Table]:
        return [s.parsed.rejected for s in self._submissions if len(s.parsed.rejected)]

    def reached(self) -> dict[str, int]:
        """How far each part of a log is read; later submissions have read further."""
        return {name: at for submission in self._submissions for name, at in submission.reached.items()}

    def receipts(self, verdict: npt.NDArray[np.int8], backfill: npt.NDArray[np.bool_], first: int) -> list[Receipt]:
        late = _mask(self.events, "late")
        receipts = []
        for submission, start, stop in self.parts():
            part = verdict[start:stop]
            new = part == Verdict.NEW
            accepted = int(new.sum())
            receipt = Receipt(
                accepted=accepted,
                duplicates=len(part) - accepted,
                conflicts=int((part == Verdict.CONFLICT).sum()),
                rejected=len(submission.parsed.rejected),
                late=int(late[start:stop][new].sum()),
                backfill=int(backfill[start:stop].sum()),
                new=new,
            )
            receipts.append(replace(receipt, first=first, last=first + accepted - 1) if accepted else receipt)
            first += accepted
        return receipts


def _added(counts: Counts, receipts: Sequence[Receipt], stale: int) -> Counts:
    total = replace(counts, stale=counts.stale + stale)
    for receipt in receipts:
        total.events += receipt.accepted
        total.duplicates += receipt.duplicates
        total.conflicts += receipt.conflicts
        total.rejected += receipt.rejected
        total.late += receipt.late
        total.backfill += receipt.backfill
    return total


def _identity(events: pa.Table) -> tuple[Any, Any, Any]:
    return tuple(events.column(name).to_numpy() for name in _IDENTITY[1:])  # type: ignore[return-value] # of three


def _times(events: pa.Table) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = events.column("received_at").cast(pa.int64()).to_numpy()
    return times


def _mask(events: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = events.column(name).to_numpy()
    return mask


def _count(events: pa.Table, name: str) -> int:
    return int(_mask(events, name).sum())


def _set(events: pa.Table, name: str, values: pa.Array[Any]) -> pa.Table:
    at = events.schema.get_field_index(name)
    return events.set_column(at, events.schema.field(at), values)
