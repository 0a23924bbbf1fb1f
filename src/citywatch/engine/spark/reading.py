"""The first stage: raw records become events, each on its way to the shard that knows its identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.spark.conditions import Conditions, Parse, Sealed, shard_of
from citywatch.engine.spark.message import Kind, Message, as_batch, packed
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, Placing, faults_schema, records_schema
from citywatch.records.lines import LONGEST, cut_lines
from citywatch.records.piecewise import piecewise

INPUT = "feed string, place long, arrived long, name string, raw binary"
"""What a source has to give: part of the input with an order of its own, place there, µs of arrival, for people its
name, and a record; a whole file instead of a record where `name` ends in `.ndjson`. No feed: only real time."""

FILES = "files"
"""The feed of a directory."""


class Reading:
    """Called by Spark with the batches of one task."""

    def __init__(self, sealed: Sealed, mappings: Mapping[str, str], *, raw: bool = False) -> None:
        """`mappings`: what the records of a feed are taken for, by the part of its name before the last slash.

        With `raw` events have a column `raw`: their record as it came.
        """
        self._sealed = sealed
        self._mappings = mappings
        self._raw = raw

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Messages of the records in `batches` (schema `INPUT`)."""
        conditions = self._sealed.open()
        parse = _parser(self._sealed, conditions)
        for batch in batches:
            for chunk, feed, place in _chunks(pa.Table.from_batches([batch]), self._mappings):
                before = 0
                for part, parsed in piecewise(parse, chunk):
                    events = _with_rows(parsed, before, part if self._raw else None)
                    yield as_batch(_messages(events, parsed.rejected, (feed, place), conditions))
                    before += len(part.records)
            ticks = [row["arrived"] for row in _of_feed(pa.Table.from_batches([batch]), "").to_pylist()]
            if ticks:
                yield as_batch([Message(conditions.slots[0], Kind.TICK, place=str(max(ticks)))])


_PARSERS: dict[str, Parse] = {}


def _parser(sealed: Sealed, conditions: Conditions) -> Parse:
    """The worker's parser for these conditions; the one before is given up."""
    if sealed.mark not in _PARSERS:
        _PARSERS.clear()
        _PARSERS[sealed.mark] = conditions.make_parser()
    return _PARSERS[sealed.mark]


def _chunks(rows: pa.Table, mappings: Mapping[str, str]) -> Iterator[tuple[Chunk, str, str]]:
    """What the parser takes, with feed and place."""
    for feed in sorted({str(feed) for feed in pc.unique(rows["feed"]).to_pylist()} - {""}):
        mapping = mappings.get(feed.rpartition("/")[0] or feed)
        of_feed = _of_feed(rows, feed).sort_by([("place", "ascending"), ("name", "ascending")])
        if feed == FILES:
            for row in of_feed.to_pylist():
                chunk = of_file(row["name"], row["arrived"], row["raw"], mapping)
                yield chunk, FILES, f"{row['place']:020d} {row['name']}"
        else:
            yield of_log(of_feed, mapping), feed, f"{of_feed['place'][0].as_py():020d}"


def _of_feed(rows: pa.Table, feed: str) -> pa.Table:
    return rows.filter(pc.equal(rows["feed"], pa.scalar(feed)))


def of_file(name: str, arrived: int, content: bytes, mapping: str | None) -> Chunk:
    """A whole file of NDJSON."""
    cuts = list(cut_lines([content]))
    records, faults = (pa.concat_tables([getattr(cut, part) for cut in cuts]) for part in ("records", "faults"))
    return Chunk(Origin(name, arrived), Format.JSON, records, faults=faults, mapping=mapping)


def of_log(rows: pa.Table, mapping: str | None) -> Chunk:
    """Messages of one partition: each by itself, as it came to the log."""
    wrong = pc.if_else(pc.is_null(rows["raw"]), "no value: a tombstone", f"longer than {LONGEST:,} bytes")
    length = np.asarray(pc.fill_null(pc.binary_length(rows["raw"]), pa.scalar(LONGEST + 1, pa.int32())))
    good, bad = pa.array(length <= LONGEST), pa.array(length > LONGEST)
    fine = rows.filter(good)
    records = pa.table([fine["place"], fine["raw"]], schema=records_schema())
    columns = [rows["place"], wrong, pc.fill_null(rows["raw"], pa.scalar(b""))]
    faults = pa.table(columns, schema=faults_schema()).filter(bad)
    name = str(rows["name"][0].as_py())
    none = np.zeros(len(rows), np.int64)
    first, of_fault = none[: len(fine)], none[: len(faults)]
    placing = Placing((name,), first, of_fault, fine["arrived"].to_numpy(), {})
    origin = Origin(name)
    return Chunk(origin, Format.JSON, records, faults=faults, mapping=mapping, ordinals=first, placing=placing)


def _with_rows(parsed: Parsed, before: int, chunk: Chunk | None) -> pa.Table:
    """Events with the number of their record, `before` being that of the first, and with the record where asked for."""
    if parsed.rows is None:
        raise TypeError("the parser has to say which record each event is of")
    rows = pa.array((parsed.rows + before).astype(np.int32))
    events = parsed.events.append_column("row", rows)
    return events if chunk is None else events.append_column("raw", chunk.records["raw"].take(parsed.rows))


def _messages(events: pa.Table, rejected: pa.Table, at: tuple[str, str], conditions: Conditions) -> Iterator[Message]:
    """`at`: feed and place."""
    slots = conditions.slots
    shard = shard_of(events["ident_hi"].to_numpy(), len(slots))
    for i in np.unique(shard).tolist():
        part = events.filter(pa.array(shard == i)) if len(slots) > 1 else events
        yield Message(slots[i], Kind.EVENTS, *at, packed(part))
    yield Message(slots[0], Kind.READ, *at)
    if len(rejected):
        yield Message(slots[0], Kind.REJECTED, *at, packed(rejected))
