"""The last steps from cast columns to a batch of events: constant columns, zones, scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from citywatch.event import batch_schema


def finished(events: pa.Table, zones: Mapping[str, Any]) -> pa.Table:
    """A batch with `batch_schema()` of the columns that could be computed in SQL."""
    schema = batch_schema()
    columns = {name: events[name] for name in events.column_names if name in schema.names}
    if "lat" in columns and "lon" in columns:
        columns["zones"] = zone_names(columns["lat"], columns["lon"], zones)
    columns["seq"] = pa.array(np.zeros(events.num_rows, np.int64))
    columns["backfill"] = pa.array(np.zeros(events.num_rows, bool))
    absent = {field.name: pa.nulls(events.num_rows, field.type) for field in schema if field.name not in columns}
    return pa.table([(columns | absent)[field.name] for field in schema], names=schema.names).cast(schema)


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
