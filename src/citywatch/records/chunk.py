"""Chunks of raw records, and what becomes of them: columns of events and a table of what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date as Date  # noqa: N812 - a field below is called date
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from citywatch.event import batch_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.records.columns import Positions
    from citywatch.records.ordinals import Ordinals


class Format(StrEnum):
    """How a raw record is written."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from, as far as it decides what they mean.

    Attributes
    ----------
    name
        What a person calls it: the path of a file, the address of a topic.
    arrived
        µs UTC that stand for the receipt of a record that names none: modification time of a file. None = now.
    replay
        True for files: `receivedat` of a record is believed. False: `received_at` is stamped with the time of now.
    date
        Day that `--date` gives to records whose time has no date, in the city's zone.
    """

    name: str
    arrived: int | None = None
    replay: bool = True
    date: Date | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """How one part of a log stands, such as a partition.

    Attributes
    ----------
    waiting
        So many records of it are not yet committed here; those that nobody has looked for are not counted.
    ended
        Nothing of it is left to read, and all of it is committed.
    """

    waiting: int
    ended: bool


@dataclass(frozen=True)
class Placing:
    """Where the records of a chunk stand in a log that has several parts, each with an order of its own.

    Attributes
    ----------
    names
        What a person calls each part, such as `topic/3`.
    part, fault_part
        Which of them each record, and each fault, is of: indexes into `names`.
    arrived
        µs UTC at which each record came to the log: its receipt where it names none.
    reached
        How far the log is read with this chunk: a name for each part that is the same for ever, and a number.
    """

    names: tuple[str, ...]
    part: Positions
    fault_part: Positions
    arrived: Positions
    reached: Mapping[str, int]


@dataclass(frozen=True)
class Chunk:
    """Raw records of one origin in their order.

    Attributes
    ----------
    records
        Arrow table `records_schema()`: line where the record starts (from 1), its bytes without a line end needed.
    header
        Names of the columns as the file spells them, for CSV. None: the mapping has to know them.
    faults
        Arrow table `faults_schema()` of what could not even be cut into records.
    reading
        Counts identical records; the chunks of one reading of a file share it. None: this chunk is a file by itself.
    mapping
        Name of the mapping that every record is taken for, where who sent them has named one.
    ordinals
        How many identical records stand before each in its file, where that is known already; shape (len(records),).
    placing
        For a log: where each record stands there. `Origin.name` is that of the log, and `line` the record's number in
        its part.
    """

    origin: Origin
    format: Format
    records: pa.Table
    header: tuple[str, ...] | None = None
    faults: pa.Table | None = None
    delimiter: str = ","
    reading: Ordinals | None = None
    mapping: str | None = None
    ordinals: Positions | None = None
    placing: Placing | None = None


@dataclass(frozen=True)
class Parsed:
    """What a chunk became: `len(events) + len(rejected)` is the number of records read.

    Attributes
    ----------
    events
        Arrow table with `event.batch_schema()`; `seq` is 0 and `backfill` false, they are for the engine to set.
    rejected
        Arrow table with `rejected_schema()`.
    rows, refused
        Number of the record in its chunk, for each event and for each of `rejected`, where the parser was asked; faults
        are numbered behind the records.
    """

    events: pa.Table
    rejected: pa.Table
    origin: Origin = field(default_factory=lambda: Origin("-"))
    rows: Positions | None = None
    refused: Positions | None = None

    @property
    def read(self) -> int:
        """Number of records read, as the counts of a run have it."""
        return self.events.num_rows + self.rejected.num_rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk whose sender waits for the answer; what it counts survives a power cut.

    `refused` has the row of each refused record and the reason; rows of faults stand behind those of the records. A
    record of which several events are refused is there several times.
    """

    accepted: int
    duplicates: int
    refused: tuple[tuple[int, str], ...] = ()


@cache
def records_schema() -> pa.Schema:
    """Arrow schema of `Chunk.records`."""
    import pyarrow as pa  # noqa: PLC0415 - the command line imports this module before it needs Arrow

    columns: list[tuple[str, pa.DataType]] = [("line", pa.int64()), ("raw", pa.binary())]
    return pa.schema(columns)


@cache
def faults_schema() -> pa.Schema:
    """Arrow schema of `Chunk.faults`."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    columns: list[tuple[str, pa.DataType]] = [("line", pa.int64()), ("reason", pa.string()), ("raw", pa.binary())]
    return pa.schema(columns)


@cache
def rejected_schema() -> pa.Schema:
    """Arrow schema of refused records.

    `id` is a hash of source, line and raw: the same record refused again has the same id. `source` is the name of
    the origin, `raw` the record's bytes without the line end, `mapping` the one that was tried.
    """
    import pyarrow as pa  # noqa: PLC0415 - as above

    columns: list[tuple[str, pa.DataType]] = [
        ("id", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.binary()),
        ("mapping", pa.string()),
        ("received_at", pa.timestamp("us", tz="UTC")),
    ]
    return pa.schema(columns)


def no_events() -> pa.Table:
    """An empty batch of events."""
    return batch_schema().empty_table()
