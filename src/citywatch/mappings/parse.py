"""The parser: chunks of raw records in, columns of events and a table of what was refused out.

No Python runs per event. DuckDB reads the JSON and casts, NumPy looks at bytes; what is wrong is looked into by exact
and slower statements that see the suspects only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.errors import MappingError, TooLargeError
from citywatch.mappings import cloudevents, foreign, kinds
from citywatch.mappings.drafts import SENT, TEXTS, Data, Intake, events_sql, known, out_of_time, reasons_sql
from citywatch.mappings.finish import finished, in_order
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.instants import instants
from citywatch.mappings.macros import create_macros
from citywatch.mappings.model import Mapping
from citywatch.mappings.recognise import Verdict, inner_keys, inner_sql, positional, verdict
from citywatch.mappings.refusals import Refusals
from citywatch.mappings.spread import MOST, Foreign, bounded
from citywatch.mappings.statements import SMALL, Statements
from citywatch.mappings.texts import no_text, plain, texts
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, Placing
from citywatch.records.columns import Array, Column, Mask, Positions, listed, one_array
from citywatch.records.csv_rows import Columns, column_names, split_columns, split_row
from citywatch.records.json_values import unreadable
from citywatch.records.ordinals import Ordinals, content_ids
from citywatch.scores import create_scores
from citywatch.settings import Settings

_TIME = pa.timestamp("us", tz="UTC")
_CHUNKS_REMEMBERED = 1_000
_SHAPES_REMEMBERED = 10_000
_ROWS_JUDGED = 100

Keys = tuple[list[str] | None, list[str] | None]
"""Keys of a record and of its data, repeated ones included; None for what is no object."""


def real_clock() -> int:
    """Now, in µs UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class _Job:
    """Records of one mapping: a table of them, and the SQL of their drafts over the name of such a table."""

    name: str
    records: pa.Table
    draft: Callable[[str], str]
    fields: list[str]
    judged: pa.Table
    """The records with what a judgement needs beside."""
    data: Data

    @property
    def foreign(self) -> bool:
        """Made by a mapping's expressions; otherwise texts come straight from JSON."""
        return self.data is not Data.GIVEN


class Parser:
    """Turns chunks into events. One parser serves one thread.

    Parameters
    ----------
    settings
        Lateness, stale, future and zone of the data directory.
    mappings
        Those of `load_mappings`; without any only CloudEvents are understood.
    gazetteer
        What says where zones, precincts and devices are.
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
        gazetteer: Gazetteer | None = None,
        clock: Callable[[], int] = real_clock,
        threads: int = 1,
    ) -> None:
        self._settings = settings
        self._mappings = tuple(mappings)
        self._gazetteer = gazetteer or Gazetteer()
        self._clock = clock
        self._seen: dict[str, set[str]] = {}
        self._shapes: dict[int, Keys] = {}
        self._chunks = 0
        con = duckdb.connect(config={"threads": threads, "enable_external_access": False})
        con.execute("SET TimeZone = 'UTC'")
        create_macros(con, settings.zone)
        create_scores(con)
        self._sql = Statements(con)

    def parse(self, chunk: Chunk, mapping: Mapping | str | None = None) -> Parsed:
        """Events and refusals of `chunk`.

        `mapping`, a loaded one or its name, is what every record is taken for; None: what the chunk says, else each is
        recognised by its fields.
        Raises MappingError for an unknown name, and for a CSV whose columns no mapping or several know; TooLargeError
        for several records whose events would take too much memory together: see `records.piecewise`.
        """
        now = self._clock()
        self._forget()
        mapping = mapping or chunk.mapping
        refusals = Refusals()
        relation = texts(chunk, refusals)
        asked = self._named(mapping)
        jobs: list[_Job] = []
        if chunk.format is Format.CSV:
            found = self._csv(chunk, relation, asked, refusals)
        else:
            jobs, found = self._json(chunk, relation, asked, mapping == cloudevents.NAME, refusals)
        jobs += self._foreign_jobs(found, chunk, refusals)
        intake = self._intake(chunk.origin, now)
        cast = in_order([self._events(job, intake, refusals) for job in jobs])
        events = finished(cast, self._gazetteer, self._settings.zone, self._sql)
        self._sql.release()
        rejected, refused = refusals.table(chunk, now)
        return Parsed(events, rejected, chunk.origin, cast["row"].to_numpy(), refused)

    def _forget(self) -> None:
        """From time to time, fields and shapes that no record has any more."""
        self._chunks += 1
        if self._chunks % _CHUNKS_REMEMBERED == 0 or len(self._shapes) > _SHAPES_REMEMBERED:
            self._seen.clear()
            self._shapes.clear()

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
            arrived = _midnight(origin.date, s.zone)
        spans = (s.lateness, s.stale, s.future)
        kept = s.retention.span_sql("type")
        return Intake(now, arrived, origin.replay, *spans, dated=origin.date is not None, kept=kept)

    def _arrival(self, origin: Origin) -> int:
        """The moment before which a time of day without a date lies, µs UTC."""
        now = self._clock()
        if origin.date is None:
            return now if origin.arrived is None else min(origin.arrived, now)
        begin, end = (_midnight(origin.date + timedelta(days=d), self._settings.zone) for d in (0, 1))
        return now if begin <= now < end else end - 1

    # JSON

    def _json(
        self, chunk: Chunk, relation: pa.Table, asked: Mapping | None, only: bool, refusals: Refusals
    ) -> tuple[list[_Job], list[Foreign]]:
        jobs: list[_Job] = []
        found: list[Foreign] = []
        if not relation.num_rows:
            return jobs, found
        envelope = self._sql.run(cloudevents.envelope_sql(self._sql.table("chunk", relation)))
        good = np.asarray(envelope["ok"])
        if not good.all():
            bad = relation.filter(pa.array(~good))
            refusals.add(listed(bad["row"]), list(map(unreadable, listed(bad["raw"]))), None)
            relation, envelope = relation.filter(pa.array(good)), envelope.filter(pa.array(good))
        hashes, first, shape = np.unique(envelope["shape"].to_numpy(), return_index=True, return_inverse=True)
        keys = self._keys(hashes.tolist(), relation.take(first))
        shape, keys = self._inner(relation, shape, keys, [asked] if asked else self._mappings)
        verdicts = [verdict(*of, self._mappings, asked=asked, only_cloudevents=only) for of in keys]
        for judged, shapes in _groups(verdicts):
            member = np.isin(shape, shapes)
            rows, heads = _only(relation, member), _only(envelope, member)
            if judged.reason:
                name = judged.mapping.name if judged.mapping else None
                refusals.add(listed(rows["row"]), [judged.reason] * rows.num_rows, name)
            elif judged.mapping is None:
                jobs.append(self._cloudevents_job(rows, heads, shape[member], keys, chunk.placing))
            else:
                columns = {key for number in shapes for key in keys[number][0] or ()}
                found.append(Foreign(judged.mapping, rows, rows["raw"], columns))
        return jobs, found

    def _keys(self, shapes: list[int], examples: pa.Table) -> list[Keys]:
        """Keys of each shape, of which there is an example; those of messages that came before are known."""
        unknown = [number for number, shape in enumerate(shapes) if shape not in self._shapes]
        if unknown:
            new = examples.take(unknown).append_column("number", pa.array(unknown))
            answer = self._sql.run(
                "SELECT json_keys(raw) AS keys, json_keys(raw, '$.data') AS data_keys"
                f" FROM {self._sql.table('examples', new)} ORDER BY number"
            )
            found = zip(answer["keys"].to_pylist(), answer["data_keys"].to_pylist(), strict=True)
            self._shapes.update(zip((shapes[number] for number in unknown), found, strict=True))
        return [self._shapes[shape] for shape in shapes]

    def _inner(
        self, relation: pa.Table, shape: Positions, keys: list[Keys], mappings: Sequence[Mapping]
    ) -> tuple[Positions, list[Keys]]:
        """Shapes split by the keys of inner objects, for those few that only these can tell apart."""
        inner, doubtful = inner_keys([top for top, _ in keys], mappings)
        rows = np.flatnonzero(np.isin(shape, doubtful))
        if not len(rows):
            return shape, keys
        bits = np.zeros(len(shape), np.int64)
        bits[rows] = self._sql.run(inner_sql(self._sql.table("inner", relation.take(rows)), inner))["bits"].to_numpy()
        pairs, split = np.unique(np.stack([shape, bits]), axis=1, return_inverse=True)
        found = [[key for bit, key in enumerate(inner) if has >> bit & 1] for has in pairs[1].tolist()]
        numbers = pairs[0].tolist()
        return split.reshape(-1), [
            (_with(keys[n][0], more), keys[n][1]) for n, more in zip(numbers, found, strict=True)
        ]

    def _cloudevents_job(
        self, relation: pa.Table, envelope: pa.Table, shape: Positions, keys: list[Keys], placing: Placing | None
    ) -> _Job:
        """`shape`: which of `keys` each record has."""
        present = [keys[number] for number in np.unique(shape)]
        fields = self._fields(cloudevents.NAME, known({key for _, data in present for key in data or ()}))
        more = any(set(top or ()) - set(cloudevents.ATTRIBUTES) for top, _ in present)
        odd = self._odd(one_array(envelope["data"]), shape, [data for _, data in keys], fields)
        envelope = envelope.append_column("odd", pa.array(odd))
        for text, instant in (("time", "t"), ("receivedat", "r")):
            micros, rest = instants(one_array(envelope[text]))
            if placing is not None and text == "receivedat":
                micros = pc.if_else(one_array(envelope[text]).is_null(), _stamps(placing, relation["row"]), micros)
            column = envelope.schema.get_field_index(text)
            envelope = envelope.set_column(column, text, rest).append_column(instant, micros)
        whole = envelope.append_column("raw", relation["raw"])

        def draft(name: str) -> str:
            return cloudevents.draft_sql(name, fields, extended=more, exact=name.startswith("judged"))

        return _Job(cloudevents.NAME, whole if more else envelope, draft, fields, whole, Data.GIVEN)

    def _odd(self, data: Array, shape: Positions, keys: list[list[str] | None], fields: list[str]) -> Mask:
        """Where DuckDB's JSON reader may have been more patient than we are: a quick look, then one at what is left."""
        odd = kinds.doubts(data, shape, keys)
        rows = np.flatnonzero(odd)
        if len(rows):
            doubtful = self._sql.table("doubtful", pa.table({"data": data.filter(pa.array(odd))}))
            odd[rows] = self._sql.run(f"SELECT {cloudevents.odd_sql(fields)} AS odd FROM {doubtful}")["odd"].to_numpy()
        return odd

    def _fields(self, name: str, fields: list[str]) -> list[str]:
        """Fields of this chunk and of those before: plans of statements are made once, not for every combination."""
        seen = self._seen.setdefault(name, set())
        seen.update(fields)
        return [field for field in SENT if field in seen]

    # CSV

    def _csv(self, chunk: Chunk, relation: pa.Table, asked: Mapping | None, refusals: Refusals) -> list[Foreign]:
        if chunk.header is None:
            return self._rows(chunk, relation, asked, refusals)
        names = column_names(chunk.header)
        judged = verdict(names, None, self._mappings, fmt=Format.CSV, asked=asked)
        if judged.reason or judged.mapping is None:
            raise MappingError(f"{chunk.origin.name}: {judged.reason}", hint="see `citywatch mappings list`")
        if not relation.num_rows:
            return []
        columns = _split(chunk, relation, names)
        bad = sorted(columns.faults)
        rows = relation["row"].to_numpy()[bad].tolist()
        refusals.add(rows, [columns.faults[row] for row in bad], judged.mapping.name)
        return _of_csv(relation, columns, judged.mapping)

    def _rows(self, chunk: Chunk, relation: pa.Table, asked: Mapping | None, refusals: Refusals) -> list[Foreign]:
        """Rows without a header: the mapping knows their columns, by their number."""
        if not relation.num_rows:
            return []
        sample = (split_row(raw, chunk.delimiter) or () for raw in listed(chunk.records["raw"].slice(0, _ROWS_JUDGED)))
        judged = positional({len(row) for row in sample}, self._mappings, asked)
        if judged.reason or judged.mapping is None:
            raise MappingError(f"{chunk.origin.name}: {judged.reason}", hint="see `citywatch mappings list`")
        found = []
        for layout in judged.mapping.layouts:
            columns = _split(chunk, relation, list(layout))
            found += _of_csv(relation, columns, judged.mapping)
            faults = sorted(columns.faults.items())
            relation = relation.take(pa.array([row for row, _ in faults], pa.int64()))
        reasons = [_expected(fault, judged.mapping) for _, fault in faults]
        refusals.add(listed(relation["row"]), reasons, judged.mapping.name)
        return found

    # both

    def _foreign_jobs(self, found: list[Foreign], chunk: Chunk, refusals: Refusals) -> list[_Job]:
        """Nothing is counted or made before it is known that it is not too much."""
        total = 0
        for number, of in enumerate(found):
            if of.mapping.spreads:
                arriving = self._arriving(of, pa.nulls(len(of.records), pa.string()), chunk)
                found[number], size = bounded(of, arriving, chunk.format, self._sql, refusals)
                total += size
        if total > MOST:
            what = f"its events would hold more than {MOST >> 20} MiB together"
            raise TooLargeError(what, hint="send smaller batches")
        return [self._foreign_job(of, chunk) for of in found]

    def _arriving(self, of: Foreign, ids: Array, chunk: Chunk) -> pa.Table:
        """Records with what a mapping may ask for beside their fields: content_id and arrived."""
        if chunk.placing:
            arrival = _stamps(chunk.placing, of.records["row"])
        else:
            arrival = pa.array(np.full(of.records.num_rows, self._arrival(chunk.origin))).cast(_TIME)
        return of.records.append_column("content_id", ids).append_column("arrived", arrival)

    def _ids(self, of: Foreign, chunk: Chunk) -> Array:
        if not of.mapping.uses("content_id"):
            return pa.nulls(len(of.records), pa.string())
        contents = [text.strip().encode() for text in listed(of.raw)]
        if chunk.ordinals is not None:
            ids = content_ids(contents, chunk.ordinals[of.records["row"].to_numpy()])
        else:
            ids = (chunk.reading or Ordinals()).ids(contents)
        return pa.array(ids, pa.string())

    def _foreign_job(self, of: Foreign, chunk: Chunk) -> _Job:
        stamped, fmt, mapping, columns = chunk.placing is not None, chunk.format, of.mapping, of.columns
        records = self._arriving(of, self._ids(of, chunk), chunk)
        fields = self._fields(mapping.name, foreign.output_fields(mapping, columns, SENT))

        def draft(name: str) -> str:
            return foreign.draft_sql(mapping, name, columns, fields, fmt, stamped=stamped)

        data = Data.OBJECT if fmt is Format.JSON else Data.MEMBERS
        return _Job(mapping.name, records, draft, fields, records, data)

    def _events(self, job: _Job, intake: Intake, refusals: Refusals) -> pa.Table:
        name = foreign.PLAIN if job.data is Data.MEMBERS and plain(job.records) else "records"
        draft = job.draft(self._sql.table(name, job.records))
        run = self._sql.run_small if job.records.num_rows <= SMALL else self._sql.run
        events = run(events_sql(draft, job.fields, intake, job.data), intake.now, intake.arrived)
        if job.foreign:
            silent = np.setdiff1d(job.records["row"].to_numpy(), events["row"].to_numpy()).tolist()
            refusals.add(silent, [f"the mapping {job.name} makes no event of it"] * len(silent), job.name)
        suspect = _suspects(events, job, intake)
        return self._judged(job, intake, events, suspect, refusals) if suspect.any() else events

    def _judged(self, job: _Job, intake: Intake, events: pa.Table, suspect: Mask, refusals: Refusals) -> pa.Table:
        """Events without those that an exact look refuses."""
        doubts = np.isin(job.judged["row"].to_numpy(), events["row"].to_numpy()[suspect])
        draft = job.draft(self._sql.table("judged", _only(job.judged, doubts)))
        sql = reasons_sql(draft, job.fields, intake, typed=not job.foreign)
        judged = self._sql.run(sql, intake.now, intake.arrived)
        bad = judged.filter(judged["reason"].is_valid())
        refusals.add(listed(bad["row"]), listed(bad["reason"]), job.name, listed(bad["n"]))
        return events.filter(pa.array(~np.isin(_pairs(events), _pairs(bad))))


def _suspects(events: pa.Table, job: _Job, intake: Intake) -> Mask:
    """Events that may have to be refused; an attribute that comes straight from JSON may be no text."""
    suspect = np.array(events["suspect"]) | out_of_time(events, intake)
    if not job.foreign:
        for name in TEXTS:
            suspect |= no_text(events[name])
    return suspect


def _groups(verdicts: list[Verdict]) -> list[tuple[Verdict, list[int]]]:
    """Shapes by what to do with them."""
    groups: dict[tuple[str | None, str | None], tuple[Verdict, list[int]]] = {}
    for shape, judged in enumerate(verdicts):
        key = (judged.mapping.name if judged.mapping else None, judged.reason)
        groups.setdefault(key, (judged, []))[1].append(shape)
    return list(groups.values())


def _with(keys: list[str] | None, more: list[str]) -> list[str] | None:
    return [*keys, *more] if keys else keys


def _expected(fault: str, mapping: Mapping) -> str:
    """The fault of a row, with the widths that the mapping knows."""
    widths = " or ".join(sorted(str(len(layout)) for layout in mapping.layouts))
    return re.sub("where the header has [0-9]+", f"where {mapping.name} has {widths}", fault)


def _of_csv(relation: pa.Table, columns: Columns, mapping: Mapping) -> list[Foreign]:
    if not len(columns.rows):
        return []
    relation = relation.take(columns.rows)
    table = columns.table.append_column("row", relation["row"])
    return [Foreign(mapping, table, relation["raw"], set(columns.table.column_names))]


def _split(chunk: Chunk, relation: pa.Table, names: list[str]) -> Columns:
    raw = one_array(chunk.records["raw"].take(relation["row"]))
    return split_columns(raw, names, chunk.delimiter)


def _only(table: pa.Table, member: Mask) -> pa.Table:
    return table if member.all() else table.filter(pa.array(member))


def _stamps(placing: Placing, rows: Column) -> Array:
    """When each of these rows of a chunk came to its log."""
    stamps: Array = pa.array(placing.arrived[rows.to_numpy()]).cast(_TIME)
    return stamps


def _pairs(table: pa.Table) -> Positions:
    pairs: Positions = table["row"].to_numpy() * (1 << 24) + table["n"].to_numpy()
    return pairs


def _midnight(day: date, zone: str) -> int:
    """Midnight of a day in a zone, µs UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return round(midnight.timestamp() * 1_000_000)
