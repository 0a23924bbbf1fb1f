"""The last steps from cast columns to a batch of events: zones, scores, columns that are constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from citywatch.event import batch_schema, derived_sql
from citywatch.mappings.statements import Statements
from citywatch.records.chunk import no_events
from citywatch.scores import SCORES, scores_sql


def in_order(parts: list[pa.Table]) -> pa.Table:
    """Events of several mappings in the order of their records."""
    if len(parts) == 1:
        return parts[0]
    joined = pa.concat_tables(parts, promote_options="default")
    return joined.sort_by([("row", "ascending"), ("n", "ascending")])


def finished(parts: list[pa.Table], zones: Mapping[str, Any], zone: str, sql: Statements) -> pa.Table:
    """A batch with `batch_schema()` of the columns that could be computed in SQL; `zone` is the city's."""
    parts = [part for part in parts if part.num_rows]
    if not parts:
        return no_events()
    events = in_order(parts)
    schema = batch_schema()
    columns = {name: events[name] for name in events.column_names if name in schema.names}
    if "lat" in columns and "lon" in columns:
        columns["zones"] = zone_names(columns["lat"], columns["lon"], zones)
    columns["seq"] = pa.array(np.zeros(events.num_rows, np.int64))
    columns["backfill"] = pa.array(np.zeros(events.num_rows, bool))
    absent = {field.name: pa.nulls(events.num_rows, field.type) for field in schema if field.name not in columns}
    batch = pa.table([(columns | absent)[field.name] for field in schema], names=schema.names).cast(schema)
    return scored(batch, zone, sql) if "behaviors" in columns else batch


def scored(batch: pa.Table, zone: str, sql: Statements) -> pa.Table:
    """The batch with the scores of person reports that come without."""
    missing = pc.or_(batch["behavior_score"].is_null(), batch["dangerosity"].is_null())
    wanted = pc.and_(pc.and_(pc.equal(batch["type"], "person.report"), missing), batch["behaviors"].is_valid())
    if not pc.any(wanted).as_py():
        return batch
    columns = ["time", "behaviors", "zones", "x", "y", "age"]
    reports = batch.filter(wanted).select(columns).append_column("number", pa.array(range(pc.sum(wanted).as_py())))
    hour = derived_sql(zone)["local_hour"]
    reports_sql = f"(SELECT *, CASE WHEN time IS NOT NULL THEN {hour} END AS local_hour FROM {sql.table('reports', reports)})"
    scores = sql.run(f"{scores_sql(reports_sql)} ORDER BY number")
    for name in SCORES:
        index = batch.schema.get_field_index(name)
        derived = pc.replace_with_mask(_whole(batch[name]), _whole(wanted), _whole(scores[name]))
        batch = batch.set_column(index, batch.schema.field(index), pc.coalesce(batch[name], derived))
    return batch


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def zone_names(lat: pa.ChunkedArray, lon: pa.ChunkedArray, zones: Mapping[str, Any]) -> pa.Array:
    """Names of the zones that hold each position, borders included, in order of name; NULL without a position."""
    known = np.asarray(pc.and_(lat.is_valid(), lon.is_valid()))
    rows, names = np.flatnonzero(known), sorted(zones)
    if not names or not len(rows):
        return _lists(known, np.empty(0, np.int64), pa.array([], pa.string()))
    points = shapely.points(lon.to_numpy()[rows], lat.to_numpy()[rows])
    point, zone = shapely.STRtree([zones[name] for name in names]).query(points, predicate="intersects")
    order = np.lexsort((zone, point))
    return _lists(known, rows[point[order]], pa.array(names).take(pa.array(zone[order])))


def _lists(known: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], values: pa.Array) -> pa.Array:
    counts = np.bincount(rows, minlength=len(known))
    offsets = np.zeros(len(known) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~known))
