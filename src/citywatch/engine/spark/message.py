"""What goes from one stage of the job to the next: rows that carry Arrow tables, so that no stage handles an event.

A message is (slot, kind, feed, place, rows): `slot` says which shard it is for; `feed` and `place` say where in the
input its events stand; `rows` is an Arrow table in its stream format, compressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import pyarrow as pa

SCHEMA = "slot int, kind string, feed string, place string, rows binary"
"""Spark's words for `arrow_schema`."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Kind(StrEnum):
    """What a message is about."""

    EVENTS = "events"
    READ = "read"
    """A feed had records in this batch."""
    CLOCK = "clock"
    """What the clock may follow: the receipts of new events of all shards, in their places."""
    TICK = "tick"
    """Real time, µs, as `place`."""
    REJECTED = "rejected"
    COUNTS = "counts"
    FACTS = "facts"
    CORRECTIONS = "corrections"
    FILES = "files"
    """What was written for an archive (`received.WRITTEN`)."""


PASSED = (Kind.REJECTED, Kind.COUNTS, Kind.CORRECTIONS)
"""Kinds that go on to the end as they are."""


class Message(NamedTuple):
    """One row between two stages."""

    slot: int
    kind: str
    feed: str = ""
    place: str = ""
    rows: bytes = b""

    def table(self) -> pa.Table:
        """The table that it carries."""
        return unpacked(self.rows)


def arrow_schema() -> pa.Schema:
    """Arrow schema of messages."""
    columns: dict[str, pa.DataType] = {"slot": pa.int32(), "kind": pa.string(), "feed": pa.string()}
    return pa.schema({**columns, "place": pa.string(), "rows": pa.binary()})


def packed(table: pa.Table) -> bytes:
    """A table as bytes."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(out.getvalue())


def unpacked(content: bytes) -> pa.Table:
    """The table of `packed` bytes."""
    with pa.ipc.open_stream(content) as reader:
        return reader.read_all()


def bundle(tables: Mapping[str, pa.Table]) -> bytes:
    """Several tables, by name, as bytes."""
    return packed(pa.table({"name": list(tables), "rows": [packed(table) for table in tables.values()]}))


def unbundled(content: bytes) -> dict[str, pa.Table]:
    """The tables of a `bundle`."""
    return {row["name"]: unpacked(row["rows"]) for row in unpacked(content).to_pylist()}


def as_batch(messages: Iterable[Message]) -> pa.RecordBatch:
    """Messages as an Arrow batch."""
    rows = [message._asdict() for message in messages]
    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema())


def of_batch(batch: pa.RecordBatch) -> Iterator[Message]:
    """The messages of `as_batch`."""
    return (Message(**row) for row in batch.to_pylist())


def of_frames(frames: Iterable[Any]) -> Iterator[Message]:
    """The messages in pandas frames, as Spark hands them in."""
    for frame in frames:
        columns = [frame[name] for name in Message._fields]
        yield from (Message(*row) for row in zip(*columns, strict=True))


def as_frame(messages: Iterable[Message]) -> Any:
    """Messages as a pandas frame, as Spark takes them."""
    import pandas as pd  # noqa: PLC0415 - only Spark needs it

    return pd.DataFrame(list(messages), columns=list(Message._fields))
