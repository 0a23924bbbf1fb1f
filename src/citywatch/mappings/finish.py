"""The last steps from cast columns to a batch of events: places, scores, columns that are constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.event import batch_schema, derived_sql
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.statements import Statements
from citywatch.records.chunk import no_events
from citywatch.records.columns import Array, Column, Mask, Positions, nulls, one_array
from citywatch.scores import SCORES, scores_sql


def in_order(parts: list[pa.Table]) -> pa.Table:
    """Events of several mappings in the order of their records; `row` is there even where there are none."""
    parts = [part for part in parts if part.num_rows] or [pa.table({"row": np.empty(0, np.int64)})]
    if len(parts) == 1:
        return parts[0]
    joined = pa.concat_tables(parts, promote_options="default")
    return joined.sort_by([("row", "ascending"), ("n", "ascending")])


def finished(events: pa.Table, gazetteer: Gazetteer, zone: str, sql: Statements) -> pa.Table:
    """A batch with `batch_schema()` of the columns that could be computed in SQL; `zone` is the city's."""
    if not events.num_rows:
        return no_events()
    schema = batch_schema()
    columns: dict[str, Any] = {name: events[name] for name in events.column_names if name in schema.names}
    gazetteer.place(columns)
    columns["seq"] = pa.array(np.zeros(events.num_rows, np.int64))
    columns["backfill"] = pa.array(np.zeros(events.num_rows, bool))
    batch = pa.table([_column(columns, field, events.num_rows) for field in schema], schema=schema)
    return scored(batch, zone, sql) if "behaviors" in columns else batch


def _column(columns: dict[str, Any], field: pa.Field[Any], rows: int) -> Any:
    """The column with the type of its field; NULL throughout where there is none."""
    column = columns.get(field.name)
    if column is None:
        return nulls(rows, field.type)
    return column if column.type == field.type else column.cast(field.type)


def scored(batch: pa.Table, zone: str, sql: Statements) -> pa.Table:
    """The batch with the scores of person reports that come without."""
    reported = np.asarray(pc.equal(batch["type"], pa.scalar("person.report")))
    missing = _null(batch["behavior_score"]) | _null(batch["dangerosity"])
    rows = np.flatnonzero(missing & ~_null(batch["behaviors"]) & reported)
    if not len(rows):
        return batch
    reports = batch.select(["time", "behaviors", "zones", "x", "y", "age"]).take(rows)
    reports = reports.append_column("number", pa.array(rows))
    hour = derived_sql(zone)["local_hour"]
    hourly = f"(SELECT *, {hour} AS local_hour FROM {sql.table('reports', reports)})"
    scores = sql.run(f"{scores_sql(hourly)} ORDER BY number")
    for name in SCORES:
        index = batch.schema.get_field_index(name)
        batch = batch.set_column(index, batch.schema.field(index), _filled(batch[name], rows, scores[name]))
    return batch


def _null(column: Column) -> Mask:
    return np.asarray(column.is_null())


def _filled(column: Column, rows: Positions, values: Column) -> Array:
    """The column with `values` in `rows` where it has none."""
    given = one_array(column)
    places = np.full(len(given), len(values), np.int64)
    places[rows] = np.arange(len(values))
    spread: Any = pa.concat_arrays([one_array(values), pa.nulls(1, given.type)]).take(pa.array(places))
    filled: Array = pc.coalesce(given, spread)
    return filled
