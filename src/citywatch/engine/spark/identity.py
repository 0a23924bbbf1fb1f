"""The second stage: which events are new. One processor holds the identities of a shard, by hash of (source, id)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.spark.clock import PLACE
from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.kept import Kept
from citywatch.engine.spark.message import PASSED, Kind, Message, packed, unpacked
from citywatch.engine.spark.routing import Routing
from citywatch.engine.spark.scratch import Scratch
from citywatch.event import batch_schema
from citywatch.settings import DAY, Settings
from citywatch.stores.identity import Identities, Verdict

CORRECTED = "violation.corrected"
_COLUMNS = ["ident_hi", "ident_lo", "fingerprint"]


@dataclass(eq=False)
class Known:
    """The identities of one shard, and the numbers of the entries in Spark's state by day of receipt."""

    identities: Identities
    entries: dict[int, list[int]] = field(default_factory=dict)
    last: int = 0
    scratch: Scratch | None = None
    """Where the identities are, when that goes with them."""

    @classmethod
    def load(cls, kept: Kept) -> Known:
        """From Spark's state."""
        scratch = Scratch()
        known = cls(Identities(scratch.path), scratch=scratch)
        for day, number, content in kept.entries():
            known.remember(unpacked(content))
            known._note(day, number)
        return known

    def judge(self, events: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """A `Verdict` for each event; of copies the first in the table's order counts."""
        return self.identities.judge(*(events[name].to_numpy() for name in _COLUMNS))

    def add(self, new: pa.Table, kept: Kept) -> None:
        """Remember new events, by day of receipt."""
        if not len(new):
            return
        rows = new.select(_COLUMNS)
        day = new["received_at"].cast(pa.int64()).to_numpy() // DAY
        for of_day in np.unique(day).tolist():
            part = rows.filter(pa.array(day == of_day))
            number = self.last + 1
            kept.put(of_day, number, packed(part))
            self._note(of_day, number)
        self.remember(rows)

    def forget_old(self, settings: Settings, kept: Kept) -> None:
        """Forget what retention has no event of any more; in memory it stays until the state is read again."""
        spans = [span for _, span in settings.retention.events]
        if not spans or None in spans or "*" not in dict(settings.retention.events):
            return  # some events are kept for ever, and so are the identities of all
        longest = max(span for span in spans if span is not None)
        before = max(self.entries, default=0) - longest // DAY - 1
        for day in [day for day in self.entries if day < before]:
            for number in self.entries.pop(day):
                kept.remove(day, number)

    def _note(self, day: int, number: int) -> None:
        self.entries.setdefault(day, []).append(number)
        self.last = max(self.last, number)

    def remember(self, rows: pa.Table) -> None:
        """Know these from now on."""
        hi, lo, fingerprint = (rows[name].to_numpy() for name in _COLUMNS)
        self.identities.add(hi, lo, fingerprint, len(self.identities) + len(rows))
        if self.identities.flush_due():
            self.identities.flush()
            while self.identities.merge():
                pass


def sorted_in(
    messages: Sequence[Message], conditions: Conditions, known: Known, routing: Routing, kept: Kept
) -> Iterator[Message]:
    """The new events on their way to the shards of their keys; what else was read goes on."""
    events = in_order([m for m in messages if m.kind == Kind.EVENTS])
    yield from (m for m in messages if m.kind in PASSED)
    for message in messages:
        if message.kind in (Kind.READ, Kind.TICK):
            yield from (message._replace(slot=slot) for slot in conditions.slots)
    if events is None:
        return
    verdict = known.judge(events)
    new = events.filter(pa.array(verdict == Verdict.NEW))
    known.add(new, kept)
    yield counted(conditions.slots[0], new, verdict)
    yield from _told(new, conditions, routing)


def in_order(messages: Sequence[Message]) -> pa.Table | None:
    """Events of all messages in the order of the input, with their places; None where there are none."""
    parts = []
    for message in sorted(messages, key=lambda m: (m.feed, m.place)):
        rows = message.table()
        place = [
            pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [text])
            for text in (message.feed, message.place)
        ]
        parts.append(rows.append_column("feed", place[0]).append_column("place", place[1]))
    return pa.concat_tables(parts) if parts else None


def _told(new: pa.Table, conditions: Conditions, routing: Routing) -> Iterator[Message]:
    if not len(new):
        return
    received = new["received_at"].cast(pa.int64())
    receipts = packed(new.select(list(PLACE)).append_column("received", received))
    goes = routing(new.select(batch_schema().names))
    for i, slot in enumerate(conditions.slots):
        yield Message(slot, Kind.CLOCK, rows=receipts)
        if goes[:, i].any():
            yield Message(slot, Kind.EVENTS, rows=packed(new.filter(pa.array(goes[:, i]))))
    corrections = new.filter(pc.equal(new["type"], pa.scalar(CORRECTED)))
    if len(corrections):
        yield Message(conditions.slots[0], Kind.CORRECTIONS, rows=packed(corrections.select(batch_schema().names)))


def counted(slot: int, new: pa.Table, verdict: Any) -> Message:
    """What became of the events that were judged, as numbers."""
    counts = {
        "events": len(new),
        "duplicates": len(verdict) - len(new),
        "conflicts": int((verdict == Verdict.CONFLICT).sum()),
        "late": pc.sum(new["late"]).as_py() or 0,
    }
    return Message(slot, Kind.COUNTS, rows=packed(pa.table({name: [n] for name, n in counts.items()})))
