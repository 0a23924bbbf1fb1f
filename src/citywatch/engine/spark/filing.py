"""The second stage of the archive job: new events, and records that were refused, become files by day and type.

The files count when the driver names them in the manifest: what a task has written that failed, or that a batch told
again has written a second time, is nothing, and is removed later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.identity import Known, counted, in_order
from citywatch.engine.spark.kept import Kept, Run, Warm
from citywatch.engine.spark.message import Kind, Message, packed
from citywatch.engine.spark.relearning import learn, not_kept
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.received import written_events, written_rejected
from citywatch.stores.archive.writing import stored_schema
from citywatch.stores.identity import Verdict


@dataclass(frozen=True)
class Filing(Conditions):
    """Conditions of the job; no rule is among them. `target`: address of the archive."""

    target: str = ""


class FileNew:
    """Lets each event pass once, and writes it."""

    def __init__(self) -> None:
        self._warm: Warm[Known] = Warm()

    def __call__(
        self, run: Run, shard: int, conditions: Conditions, messages: Sequence[Message], kept: Kept
    ) -> Iterator[Message]:
        """All messages of a batch for one shard."""
        if not isinstance(conditions, Filing):
            raise TypeError("the archive job has its own conditions")
        known = self._warm.take(run, shard, kept, Known.load)
        archive, written = Archive(conditions.target), []
        head = kept.head or asdict(learn(archive, known, kept, (shard, conditions.shards)))
        slot, number = messages[0].slot, int(head["events"])
        events, refused = in_order([m for m in messages if m.kind == Kind.EVENTS]), _tables(messages, Kind.REJECTED)
        if events is not None:
            verdict = known.judge(events)
            new = events.filter(pa.array(verdict == Verdict.NEW))
            known.add(new, kept)
            written.append(written_events(archive, _numbered(new, shard, conditions.shards, number)))
            number += len(new)
            yield counted(slot, new, verdict)
        if refused:
            fresh = not_kept(archive, pa.concat_tables(refused), head.get("refused", {}))
            written.append(written_rejected(archive, fresh))
        archive.settle()
        yield from (Message(slot, Kind.FILES, rows=packed(table)) for table in written)
        yield from (m for m in messages if m.kind == Kind.REJECTED)
        known.forget_old(conditions.settings, kept)
        self._warm.put(run, shard, kept.commit({**head, "events": number}), known)


def _tables(messages: Sequence[Message], kind: Kind) -> list[pa.Table]:
    return [message.table() for message in messages if message.kind == kind]


def _numbered(new: pa.Table, shard: int, shards: int, before: int) -> pa.Table:
    """The columns that are stored; numbers that no other shard and no other batch gives."""
    schema = stored_schema(raw=True)
    numbers = np.arange(before, before + len(new), dtype=np.int64) * shards + shard + 1
    at = new.schema.get_field_index("seq")
    return new.set_column(at, "seq", pa.array(numbers)).select(schema.names).cast(schema)
