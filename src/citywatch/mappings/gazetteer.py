"""What is known of the city beside the events: zones, precincts, and where the devices stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.mappings.areas import Areas
from citywatch.mappings.devices import Devices
from citywatch.mappings.precincts import Precincts
from citywatch.records.columns import Array, Column, Mask, Positions, one_array

_TEXT, _NUMBER, _SMALL = pa.string(), pa.float64(), pa.int16()

Columns = dict[str, Any]
"""Columns of a batch by name; one that no event has is not there."""


@dataclass(frozen=True)
class Gazetteer:
    """Where things are; replaced as a whole when one of its files is edited.

    `zones` are shapely geometries by name.
    """

    zones: Mapping[str, Any] = field(default_factory=dict)
    devices: Devices = field(default_factory=Devices)
    precincts: Precincts = field(default_factory=Precincts)
    _names: Any = field(init=False, repr=False)
    _areas: Areas = field(init=False, repr=False)

    def place(self, columns: Columns) -> None:
        """Add what follows from device and position, where an event does not say it itself."""
        if "device_id" in columns and self.devices.entries:
            _at_devices(columns, self.devices)
        if "lat" in columns and "lon" in columns:
            if len(self.precincts.numbers):
                columns["precinct"] = _precincts(columns, self.precincts)
            columns["zones"] = self._zone_names(columns["lat"], columns["lon"])

    def precinct(self, lat: float | None, lon: float | None) -> int | None:
        """The precinct that holds a position; None without one, or where no outline holds it."""
        if lat is None or lon is None:
            return None
        return int(self.precincts.at(np.array([lat]), np.array([lon]))[0]) or None

    def __post_init__(self) -> None:
        # Made here and not when they are asked for first, which may be in several threads at once.
        names: Any = pa.array(sorted(self.zones), pa.string())
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_areas", Areas([self.zones[name] for name in sorted(self.zones)]))

    def _zone_names(self, lat: Column, lon: Column) -> Array:
        """Names of the zones that hold each position, borders included, in order of name; NULL without a position."""
        known = ~(_null(lat) | _null(lon))
        rows = np.flatnonzero(known)
        point, zone = self._areas.holding(lat.to_numpy()[rows], lon.to_numpy()[rows])
        order = np.lexsort((zone, point))
        return _lists(known, rows[point[order]], self._names.take(zone[order]))


def _at_devices(columns: Columns, devices: Devices) -> None:
    ids = one_array(columns["device_id"])
    entry = devices.at(ids, one_array(columns["time"]).cast(pa.int64()).to_numpy())
    known = entry >= 0
    if not known.any():
        return
    lat, lon = (_given(columns, name, _NUMBER) for name in ("lat", "lon"))
    placed = known & ~np.isnan(devices.lat[entry]) & _null(lat) & _null(lon)
    named = placed & _null(_given(columns, "street", _TEXT))
    columns["lat"] = _filled(lat, placed, pa.array(devices.lat), entry)
    columns["lon"] = _filled(lon, placed, pa.array(devices.lon), entry)
    columns["address"] = _filled(_given(columns, "address", _TEXT), named, devices.name, entry)
    columns["device_kind"] = _filled(_given(columns, "device_kind", _TEXT), known, devices.kind, entry)


def _given(columns: Columns, name: str, type_: Any) -> Column:
    """What the events say themselves."""
    if name in columns:
        said: Column = columns[name]
        return said
    nothing: Any = pa.nulls(len(columns["time"]), type_)
    return pa.chunked_array([nothing])


def _filled(given: Column, rows: Mask, values: Array, entry: Positions) -> Column:
    """The column `given`, and in `rows`, where it has none, the values of their entries."""
    wanted: Any = pa.array(np.where(rows, entry, 0), mask=~rows)
    filled: Any = pc.coalesce(one_array(given), values.take(wanted))
    return pa.chunked_array([filled])


def _precincts(columns: Columns, precincts: Precincts) -> Column:
    lat, lon, given = columns["lat"], columns["lon"], _given(columns, "precinct", _SMALL)
    rows = np.flatnonzero(_null(given) & ~_null(lat) & ~_null(lon))
    found = np.zeros(len(lat), np.int64)
    found[rows] = precincts.at(lat.to_numpy()[rows], lon.to_numpy()[rows])
    filled: Any = pc.coalesce(one_array(given), pa.array(found.astype(np.int16), mask=found == 0))
    return pa.chunked_array([filled])


def _lists(known: Mask, rows: Positions, values: Array) -> Array:
    counts = np.bincount(rows, minlength=len(known))
    offsets = np.zeros(len(known) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    begins: Any = pa.array(offsets)
    lists: Array = pa.ListArray.from_arrays(begins, values, mask=pa.array(~known))
    return lists


def _null(column: Column) -> Mask:
    return np.asarray(column.is_null())
