"""`devices.csv` of a data directory: where each device stands, and when, for events that carry only its id."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.errors import GazetteerError, GazetteerErrors, Place
from citywatch.records.columns import Array, Positions

COLUMNS = ("device_id", "device_kind", "lat", "lon", "name", "from", "until")
KINDS = ("camera", "sensor", "drone", "desk")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGINNING, _END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: where a device is when `since <= time < until` (µs UTC). lat and lon are both NaN, or neither."""

    device_id: str
    kind: str | None
    lat: float
    lon: float
    name: str | None
    since: int
    until: int
    place: Place


class Devices:
    """Devices and where they are, as arrays that a batch of events is looked up in.

    `lat`, `lon` (NaN = not known), `kind` and `name` have one value for each entry, which `at` finds.
    """

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.entries = sorted(entries, key=lambda entry: (entry.device_id, entry.since))
        self.ids = pa.array(sorted({entry.device_id for entry in entries}), pa.string())
        self.lat, self.lon = (self._numbers(name) for name in ("lat", "lon"))
        self.kind, self.name = (self._texts(name) for name in ("kind", "name"))
        ids: Any = self._texts("device_id")
        owner = pc.index_in(ids, value_set=self.ids)
        # Entries of device i are first[i] .. first[i + 1] - 1, in the order of time.
        self._first = np.searchsorted(np.asarray(owner), np.arange(len(self.ids) + 1))
        self._since, self._until = (
            np.array([getattr(entry, name) for entry in self.entries], np.int64) for name in ("since", "until")
        )

    def at(self, device_ids: Array, times: Positions) -> Positions:
        """The entry that counts for each device at its time (µs UTC), or -1; shape (n,)."""
        number: Any = pc.index_in(device_ids, value_set=self.ids)
        device = np.asarray(pc.fill_null(number, -1)).astype(np.int64)
        found = np.full(len(times), -1, np.int64)
        if not self.entries:
            return found
        for n in range(int(np.diff(self._first).max())):
            entry = np.where(device >= 0, self._first[device] + n, 0)
            there = (device >= 0) & (entry < self._first[device + 1])
            entry = np.where(there, entry, 0)
            there &= (self._since[entry] <= times) & (times < self._until[entry])
            found[there] = entry[there]
        return found

    def _numbers(self, name: str) -> npt.NDArray[np.float64]:
        return np.array([getattr(entry, name) for entry in self.entries], np.float64)

    def _texts(self, name: str) -> Array:
        texts: Any = pa.array([getattr(entry, name) for entry in self.entries], pa.string())
        return texts  # type: ignore[no-any-return] # an array of texts


def load_devices(file: Path, zone: str) -> Devices:
    """The devices of a file; none when there is no file. `zone` is the city's.

    Raises GazetteerErrors with all that is wrong, each with its line.
    """
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return Devices()
    except (OSError, UnicodeDecodeError) as error:
        raise GazetteerError(f"cannot be read: {error}", where=Place(file), hint="a CSV file in UTF-8") from error
    errors: list[GazetteerError] = []
    entries = list(_entries(text, file, ZoneInfo(zone), errors))
    errors += _overlaps(entries)
    if errors:
        raise GazetteerErrors(errors)
    return Devices(entries)


def _entries(text: str, file: Path, zone: ZoneInfo, errors: list[GazetteerError]) -> Iterator[Entry]:
    """The lines that can be read; what is wrong with the others is added to `errors`."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = _header([cell.strip() for cell in next(rows, [])], Place(file))
        for cells in rows:
            place = Place(file, rows.line_num)
            try:
                if any(cell.strip() for cell in cells):
                    yield _entry(_row(header, cells, place), zone, place)
            except GazetteerError as error:
                errors.append(error)
    except csv.Error as error:
        errors.append(GazetteerError(f"not valid CSV: {error}", where=Place(file, rows.line_num)))
    except GazetteerError as error:
        errors.append(error)


def _header(names: list[str], place: Place) -> list[str]:
    hint = f"the first line names the columns: {','.join(COLUMNS)}"
    for name in names:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            raise GazetteerError(f"unknown column {name!r}", where=place, hint=f"{near[0]}?" if near else hint)
    if "device_id" not in names or len(set(names)) < len(names):
        what = "a column is named twice" if "device_id" in names else "there is no column device_id"
        raise GazetteerError(what, where=place, hint=hint)
    return names


def _row(header: list[str], cells: list[str], place: Place) -> dict[str, str]:
    if len(cells) > len(header):
        what = f"{len(cells)} cells under {len(header)} columns"
        raise GazetteerError(what, where=place, hint='quote text with a comma: "5 Av, north side"')
    return dict.fromkeys(COLUMNS, "") | dict(zip(header, (cell.strip() for cell in cells), strict=False))


def _entry(row: Mapping[str, str], zone: ZoneInfo, place: Place) -> Entry:
    if not row["device_id"]:
        raise GazetteerError("a device_id is wanted here", where=place)
    if row["device_kind"] and row["device_kind"] not in KINDS:
        what = f"device_kind {row['device_kind']!r} is none of {', '.join(KINDS)}"
        raise GazetteerError(what, where=place, hint="leave it empty where it is none of them")
    lat, lon = (_degrees(name, row[name], limit, place) for name, limit in (("lat", 90), ("lon", 180)))
    if math.isnan(lat) != math.isnan(lon):
        raise GazetteerError("lat and lon belong together: one of them is missing", where=place)
    since, until = (_instant(row[name], zone, place) for name in ("from", "until"))
    since, until = _BEGINNING if since is None else since, _END if until is None else until
    if since >= until:
        raise GazetteerError("from is not before until", where=place)
    return Entry(row["device_id"], row["device_kind"] or None, lat, lon, row["name"] or None, since, until, place)


def _degrees(name: str, text: str, limit: int, place: Place) -> float:
    if not text:
        return math.nan
    try:
        degrees = math.nan if "_" in text else float(text)  # Python reads 4_0 as 40
    except ValueError:
        degrees = math.nan
    if not abs(degrees) <= limit:
        what = f"{name} {text!r} is no number within ±{limit}"
        raise GazetteerError(what, where=place, hint="degrees, such as 40.7128")
    return degrees


def _instant(text: str, zone: ZoneInfo, place: Place) -> int | None:
    """A date or time in µs UTC; without a zone it is in the city's."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        hint = "write 2026-05-01, 2026-05-01 18:00 or 2026-05-01T18:00:00Z"
        raise GazetteerError(f"{text!r} is no date or time", where=place, hint=hint) from error


def _overlaps(entries: Sequence[Entry]) -> Iterator[GazetteerError]:
    """A device is at one place at a time."""
    ordered = sorted(entries, key=lambda entry: (entry.device_id, entry.since))
    for one, other in pairwise(ordered):
        if one.device_id == other.device_id and other.since < one.until:
            first, second = sorted((one.place, other.place), key=lambda place: place.line)
            what = f"device {one.device_id!r} stands in line {first.line} already, for a part of the same time"
            yield GazetteerError(what, where=second, hint="end the first with until, where the second begins with from")
