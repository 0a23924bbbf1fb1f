"""The parser: chunks of raw records in, columns of events and a table of what was refused out.

No Python runs per event. DuckDB reads the JSON and casts, NumPy looks at bytes; what is wrong is looked into by exact
and slower statements that see the suspects only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping as Lookup, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.mappings import cloudevents
from citywatch.mappings.drafts import Intake, events_sql, known, reasons_sql
from citywatch.mappings.finish import finished
from citywatch.mappings.refusals import Refusals
from citywatch.records.chunk import Chunk, Origin, Parsed
from citywatch.records.json_values import complaint, doubtful
from citywatch.settings import Settings

_BATCH = 8192
"""Rows of an Arrow batch: DuckDB works on several at once."""

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


def real_clock() -> int:
    """Now, in µs UTC."""
    return time.time_ns() // 1000


class Parser:
    """Turns chunks into events. One parser serves one thread; chunks of one origin come in their order.

    Parameters
    ----------
    settings
        Lateness, stale, future and zone of the data directory.
    mappings
        Those of `load_mappings`; without any only CloudEvents are understood.
    zones
        shapely geometry by name of the zone.
    clock
        Now in µs UTC.
    """

    def __init__(
        self,
        settings: Settings,
        mappings: Sequence[Any] = (),
        *,
        zones: Lookup[str, Any] | None = None,
        clock: Callable[[], int] = real_clock,
        threads: int = 2,
    ) -> None:
        self._settings = settings
        self._mappings = tuple(mappings)
        self._zones = dict(zones or {})
        self._clock = clock
        self._con = duckdb.connect(config={"threads": threads})
        self._con.execute("SET TimeZone = 'UTC'")

    def parse(self, chunk: Chunk, mapping: Any = None) -> Parsed:  # noqa: ARG002 - mappings follow
        """Events and refusals of `chunk`. `mapping` None: each record is recognised by its fields."""
        now = self._clock()
        intake = self._intake(chunk.origin, now)
        refusals = Refusals()
        relation = self._texts(chunk, refusals)
        events = self._cloudevents(relation, intake, refusals)
        events = finished(events, self._zones)
        rejected = refusals.table(chunk.records, chunk.faults, chunk.origin, now)
        return Parsed(events, rejected, chunk.origin)

    def _intake(self, origin: Origin, now: int) -> Intake:
        s = self._settings
        arrived = now if origin.arrived is None else min(origin.arrived, now)
        return Intake(now, arrived, origin.replay, s.lateness, s.stale, s.future)

    def _texts(self, chunk: Chunk, refusals: Refusals) -> pa.Table:
        """Columns row, raw (text) of the records that can be JSON."""
        raw = chunk.records["raw"].combine_chunks()
        rows: Rows = np.arange(len(raw))
        texts, valid = utf8(raw)
        if not valid.all():
            bad = rows[~valid]
            refusals.add(bad.tolist(), [_not_utf8(raw[int(i)].as_py()) for i in bad], None)
        doubts = rows[doubtful(raw) & valid] if len(raw) else rows
        for row in doubts:
            if reason := complaint(raw[int(row)].as_py()):
                refusals.add([int(row)], [reason], None)
                valid[row] = False
        table = pa.table({"row": rows, "raw": texts})
        return table if valid.all() else table.filter(pa.array(valid))

    def _cloudevents(self, relation: pa.Table, intake: Intake, refusals: Refusals) -> pa.Table:
        envelope = self._run(cloudevents.envelope_sql("chunk"), chunk=relation)
        ok = np.asarray(envelope["ok"])
        if not ok.all():
            bad = relation["row"].to_numpy()[~ok].tolist()
            refusals.add(bad, ["not JSON"] * len(bad), None)
            relation, envelope = relation.filter(pa.array(ok)), envelope.filter(envelope["ok"])
        fields = self._fields(relation, envelope)
        if fields is None:
            return None
        draft = cloudevents.draft_sql("envelope", fields, extended=False)
        events = self._run(events_sql(draft, fields, intake), envelope=envelope)
        return self._judge(events, relation, envelope, fields, intake, refusals)

    def _fields(self, relation: pa.Table, envelope: pa.Table) -> list[str]:
        shapes, first = np.unique(envelope["shape"].to_numpy(), return_index=True)
        examples = relation.take(pa.array(first))
        sql = "SELECT json_keys(raw) AS keys, json_keys(raw, '$.data') AS data_keys FROM examples"
        keys = self._run(sql, examples=examples)
        return known({key for row in keys["data_keys"].to_pylist() for key in row or ()})

    def _judge(self, events, relation, envelope, fields, intake, refusals) -> pa.Table:
        suspect = np.asarray(events["suspect"])
        if not suspect.any():
            return events
        doubts = np.isin(relation["row"].to_numpy(), events["row"].to_numpy()[suspect])
        few = pa.array(doubts)
        sources = envelope.filter(few).append_column("raw", relation.filter(few)["raw"])
        draft = cloudevents.draft_sql("envelope", fields, extended=True)
        judged = self._run(reasons_sql(draft, fields, intake, typed=True), envelope=sources)
        bad = judged.filter(judged["reason"].is_valid())
        refusals.add(bad["row"].to_pylist(), bad["reason"].to_pylist(), cloudevents.NAME, bad["n"].to_pylist())
        return events.filter(pa.array(~np.isin(events["row"].to_numpy(), bad["row"].to_numpy())))

    def _run(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer of `sql` over the named tables, as Arrow."""
        for name, table in tables.items():
            self._con.register(name, _batched(table))
        try:
            return self._con.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                self._con.unregister(name)


def _batched(table: pa.Table) -> pa.Table:
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=_BATCH), table.schema)


def utf8(raw: pa.BinaryArray) -> tuple[pa.StringArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Texts of `raw` and which of them are valid UTF-8; the others are empty."""
    try:
        return raw.cast(pa.string()), np.ones(len(raw), dtype=bool)
    except pa.ArrowInvalid:
        texts = [_decoded(value) for value in raw.to_pylist()]
        return pa.array([text or "" for text in texts], pa.string()), np.array([t is not None for t in texts])


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _not_utf8(value: bytes) -> str:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{value[error.start]:02X} at {error.start + 1}"
    return "not UTF-8"
