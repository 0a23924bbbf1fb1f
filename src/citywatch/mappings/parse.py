"""The parser: chunks of raw records in, columns of events and a table of what was refused out.

No Python runs per event. DuckDB reads the JSON and casts, NumPy looks at bytes; what is wrong is looked into by exact
and slower statements that see the suspects only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.errors import MappingError
from citywatch.mappings import cloudevents, foreign
from citywatch.mappings.drafts import SENT, Intake, events_sql, known, reasons_sql
from citywatch.mappings.finish import finished
from citywatch.mappings.macros import create_macros
from citywatch.mappings.model import Mapping
from citywatch.mappings.ordinals import Ordinals
from citywatch.mappings.recognise import Verdict, verdict
from citywatch.mappings.refusals import Refusals
from citywatch.mappings.texts import one_array, texts
from citywatch.records.chunk import Chunk, Format, Origin, Parsed
from citywatch.records.csv_rows import column_names, split_columns
from citywatch.scores import create_scores
from citywatch.settings import Settings

_BATCH = 8192
"""Rows of an Arrow batch: DuckDB works on several at once."""

_TIME = pa.timestamp("us", tz="UTC")


def real_clock() -> int:
    """Now, in µs UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class _Job:
    """Records of one mapping: their drafts in SQL, over which tables, with which known fields."""

    name: str
    draft: Callable[[bool], str]
    tables: Callable[[np.ndarray[Any, Any] | None], dict[str, pa.Table]]
    fields: list[str]
    rows: np.ndarray[Any, Any]
    foreign: bool


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
    threads
        How many DuckDB may use.
    """

    def __init__(
        self,
        settings: Settings,
        mappings: Sequence[Mapping] = (),
        *,
        zones: Lookup[str, Any] | None = None,
        clock: Callable[[], int] = real_clock,
        threads: int = 2,
    ) -> None:
        self._settings = settings
        self._mappings = tuple(mappings)
        self.zones = dict(zones or {})
        self._clock = clock
        self._ordinals: dict[str, Ordinals] = {}
        self._con = duckdb.connect(config={"threads": threads, "enable_external_access": False})
        self._con.execute("SET TimeZone = 'UTC'")
        create_macros(self._con, settings.zone)
        create_scores(self._con)

    def parse(self, chunk: Chunk, mapping: Mapping | str | None = None) -> Parsed:
        """Events and refusals of `chunk`.

        `mapping`, a loaded one or its name, is what every record is taken for; None: each is recognised by its fields.
        Raises MappingError for an unknown name, and for a CSV whose columns no mapping or several know.
        """
        now = self._clock()
        intake = self._intake(chunk.origin, now)
        if chunk.begins:
            self._ordinals.pop(chunk.origin.name, None)
        refusals = Refusals()
        relation = texts(chunk, refusals)
        asked = self._named(mapping)
        jobs = self._csv(chunk, relation, asked, refusals) if chunk.format is Format.CSV else None
        if jobs is None:
            jobs = self._json(chunk, relation, asked, mapping == cloudevents.NAME, refusals)
        parts = [self._events(job, intake, refusals) for job in jobs]
        events = finished(parts, self.zones, self._settings.zone, self._run)
        return Parsed(events, refusals.table(chunk.records, chunk.faults, chunk.origin, now), chunk.origin)

    def _named(self, mapping: Mapping | str | None) -> Mapping | None:
        if not isinstance(mapping, str):
            return mapping
        found = [m for m in self._mappings if m.name == mapping]
        if not found and mapping != cloudevents.NAME:
            names = ", ".join(sorted([cloudevents.NAME, *(m.name for m in self._mappings)]))
            raise MappingError(f"no mapping is called {mapping!r}", hint=f"known: {names}")
        return found[0] if found else None

    def _intake(self, origin: Origin, now: int) -> Intake:
        s = self._settings
        arrived = now if origin.arrived is None else min(origin.arrived, now)
        if origin.date is not None:
            arrived = _local(origin.date, s.zone)
        return Intake(now, arrived, origin.replay, s.lateness, s.stale, s.future, dated=origin.date is not None)

    def _arrival(self, origin: Origin) -> int:
        """The moment before which a time of day without a date lies."""
        now = self._clock()
        if origin.date is None:
            return now if origin.arrived is None else min(origin.arrived, now)
        begin, end = (_local(origin.date + timedelta(days=d), self._settings.zone) for d in (0, 1))
        return now if begin <= now < end else end - 1

    # JSON

    def _json(
        self, chunk: Chunk, relation: pa.Table, asked: Mapping | None, only: bool, refusals: Refusals
    ) -> list[_Job]:
        if not relation.num_rows:
            return []
        envelope = self._run(cloudevents.envelope_sql("chunk"), chunk=relation)
        good = np.asarray(envelope["ok"])
        if not good.all():
            refusals.add(relation["row"].to_numpy()[~good].tolist(), ["not JSON"] * int((~good).sum()), None)
            relation, envelope = relation.filter(pa.array(good)), envelope.filter(pa.array(good))
        shapes, first, of = np.unique(envelope["shape"].to_numpy(), return_index=True, return_inverse=True)
        found = self._keys(relation.take(pa.array(first)))
        verdicts = [verdict(*keys, self._mappings, asked=asked, only_cloudevents=only) for keys in found]
        groups: dict[str, list[int]] = {}
        for shape, judged in enumerate(verdicts):
            if judged.reason:
                rows = relation["row"].to_numpy()[of == shape].tolist()
                refusals.add(rows, [judged.reason] * len(rows), judged.mapping.name if judged.mapping else None)
            else:
                groups.setdefault(judged.mapping.name if judged.mapping else cloudevents.NAME, []).append(shape)
        jobs = []
        for numbers in groups.values():
            member = np.isin(of, numbers)
            keys = [found[number] for number in numbers]
            jobs.append(self._job(chunk, relation, envelope, member, keys, verdicts[numbers[0]]))
        return jobs

    def _job(
        self, chunk: Chunk, relation: pa.Table, envelope: pa.Table, member: Any, keys: list[Any], judged: Verdict
    ) -> _Job:
        if not member.all():
            relation, envelope = relation.filter(pa.array(member)), envelope.filter(pa.array(member))
        if judged.mapping is None:
            return _cloudevents_job(relation, envelope, keys)
        columns = {key for top, _ in keys for key in top}
        records = self._arriving(relation, relation["raw"], chunk, judged.mapping)
        return _foreign_job(judged.mapping, records, columns, Format.JSON)

    def _keys(self, examples: pa.Table) -> list[tuple[list[str] | None, list[str] | None]]:
        """Keys of each record and of its data, repeated ones included."""
        sql = "SELECT json_keys(raw) AS keys, json_keys(raw, '$.data') AS data_keys FROM examples ORDER BY number"
        numbered = examples.append_column("number", pa.array(range(examples.num_rows)))
        answer = self._run(sql, examples=numbered)
        return list(zip(answer["keys"].to_pylist(), answer["data_keys"].to_pylist(), strict=True))

    # CSV

    def _csv(self, chunk: Chunk, relation: pa.Table, asked: Mapping | None, refusals: Refusals) -> list[_Job]:
        if chunk.header is None:
            raise MappingError(f"{chunk.origin.name} has no header of columns")
        names = column_names(chunk.header)
        judged = verdict(names, None, self._mappings, fmt=Format.CSV, asked=asked)
        if judged.reason or judged.mapping is None:
            raise MappingError(f"{chunk.origin.name}: {judged.reason}", hint="see `citywatch mappings list`")
        if not relation.num_rows:
            return []
        raw = one_array(chunk.records["raw"].take(relation["row"]))
        columns = split_columns(raw, names, chunk.delimiter)
        rows = relation["row"].to_numpy()
        bad = sorted(columns.faults)
        refusals.add(rows[bad].tolist(), [columns.faults[row] for row in bad], judged.mapping.name)
        if not len(columns.rows):
            return []
        relation = relation.take(pa.array(columns.rows))
        table = columns.table.append_column("row", relation["row"])
        records = self._arriving(table, relation["raw"], chunk, judged.mapping)
        return [_foreign_job(judged.mapping, records, set(names), Format.CSV)]

    def _arriving(self, records: pa.Table, raw: pa.ChunkedArray, chunk: Chunk, mapping: Mapping) -> pa.Table:
        """Records with what a mapping may ask for beside their fields: content_id and arrived."""
        ids: pa.Array = pa.nulls(records.num_rows, pa.string())
        if mapping.uses("content_id"):
            ordinals = self._ordinals.setdefault(chunk.origin.name, Ordinals())
            ids = pa.array(ordinals.ids([text.strip().encode() for text in raw.to_pylist()]))
        arrival = pa.array(np.full(records.num_rows, self._arrival(chunk.origin))).cast(_TIME)
        return records.append_column("content_id", ids).append_column("arrived", arrival)

    # both

    def _events(self, job: _Job, intake: Intake, refusals: Refusals) -> pa.Table:
        sql = events_sql(job.draft(False), job.fields, intake, patched=job.foreign)
        events = self._run(sql, **job.tables(None))
        rows = events["row"].to_numpy()
        if job.foreign:
            silent = job.rows[~np.isin(job.rows, rows)].tolist()
            refusals.add(silent, [f"the mapping {job.name} makes no event of it"] * len(silent), job.name)
        suspect = np.asarray(events["suspect"])
        if not suspect.any():
            return events
        doubts = np.isin(job.rows, rows[suspect])
        judged = self._run(
            reasons_sql(job.draft(True), job.fields, intake, typed=not job.foreign), **job.tables(doubts)
        )
        bad = judged.filter(judged["reason"].is_valid())
        refusals.add(bad["row"].to_pylist(), bad["reason"].to_pylist(), job.name, bad["n"].to_pylist())
        return events.filter(pa.array(~np.isin(_pairs(events), _pairs(bad))))

    def _run(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer of `sql` over the named tables, as Arrow."""
        for name, table in tables.items():
            self._con.register(name, _batched(table))
        try:
            return self._con.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                self._con.unregister(name)


def _cloudevents_job(relation: pa.Table, envelope: pa.Table, keys: list[Any]) -> _Job:
    fields = known({key for _, data in keys for key in data or ()})
    more = any(set(top) - set(cloudevents.ATTRIBUTES) for top, _ in keys)

    def tables(mask: Any) -> dict[str, pa.Table]:
        table = envelope.append_column("raw", relation["raw"]) if more or mask is not None else envelope
        return {"envelope": table if mask is None else table.filter(pa.array(mask))}

    def draft(judging: bool) -> str:
        return cloudevents.draft_sql("envelope", fields, extended=more or judging)

    return _Job(cloudevents.NAME, draft, tables, fields, relation["row"].to_numpy(), foreign=False)


def _foreign_job(mapping: Mapping, records: pa.Table, columns: set[str], fmt: Format) -> _Job:
    fields = foreign.output_fields(mapping, columns, SENT)
    sql = foreign.draft_sql(mapping, "records", columns, fields, fmt)

    def tables(mask: Any) -> dict[str, pa.Table]:
        return {"records": records if mask is None else records.filter(pa.array(mask))}

    return _Job(mapping.name, lambda _: sql, tables, fields, records["row"].to_numpy(), foreign=True)


def _pairs(table: pa.Table) -> np.ndarray[Any, Any]:
    pairs: np.ndarray[Any, Any] = table["row"].to_numpy() * (1 << 24) + table["n"].to_numpy()
    return pairs


def _batched(table: pa.Table) -> pa.Table:
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=_BATCH), table.schema)


def _local(day: date, zone: str) -> int:
    """Midnight of a day in a zone, µs UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return round(midnight.timestamp() * 1_000_000)
