"""Lists beside the rules: `lists/NAME.csv` with the columns value, from, until, note."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from citywatch.errors import Place, RuleError
from citywatch.event import Column
from citywatch.rules.problems import Problems, nearest
from citywatch.rules.values import cast

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_COLUMNS = ("value", "from", "until", "note")
_CASTABLE = frozenset(("DOUBLE", "SMALLINT", "TINYINT", "INTEGER", "DATE", "BOOLEAN"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: member when `valid_from <= time < valid_until`, None = open."""

    value: str
    valid_from: datetime | None
    valid_until: datetime | None
    place: Place


class Lists:
    """The lists of a rules directory, as tables that fit the fields they are compared with."""

    def __init__(self, entries: Mapping[str, tuple[Entry, ...]]) -> None:
        self._entries = entries
        self._columns: dict[str, tuple[str, Column | None]] = {}
        """Table key -> (list, field), for those that predicates ask for."""
        self._created: set[str] = set()

    def names(self) -> frozenset[str]:
        """Names of all lists."""
        return frozenset(self._entries)

    def bounded(self, name: str) -> bool:
        """Whether any value of a list is a member for a time only; asking when costs three times as much."""
        return any(entry.valid_from or entry.valid_until for entry in self._entries[name])

    def table(self, name: str, column: Column | None) -> tuple[str, str]:
        """(table, expression of its value) for comparing list `name` with a field, or with any text (None).

        Values are normalised as the field is; ValueError when one cannot be a value of the field.
        """
        normal = column if column and column.name == "plate" else None
        key = f"{name}_as_plate" if normal else name
        if column and column.sql not in _CASTABLE | {"VARCHAR"}:
            raise ValueError(f"field {column.name} is {column.sql}: a list holds single values")
        if key not in self._columns:
            self._columns[key] = (name, normal)
        if column is None or (column.sql == "VARCHAR" and not normal):
            return f"list_{key}", "value"
        for entry in self._entries[name]:
            try:
                made = cast(column, entry.value)
            except ValueError as error:
                raise ValueError(f"list {name!r} does not fit: {entry.place}: {error}") from error
            if made is None:
                raise ValueError(f"list {name!r} does not fit: {entry.place}: {entry.value!r} is no {column.name}")
        return f"list_{key}", "value" if normal else f"CAST(value AS {column.sql})"

    def tables(self) -> dict[str, pa.Table]:
        """The tables asked for, by what follows `list_` in their names."""
        return {key: self._arrow(name, column) for key, (name, column) in self._columns.items()}

    def create_empty(self, con: duckdb.DuckDBPyConnection) -> None:
        """Create the tables asked for without their rows, so that predicates can be bound."""
        for key in self._columns.keys() - self._created:
            quoted = f"list_{key}".replace('"', '""')
            con.execute(f'CREATE TABLE "{quoted}" (value VARCHAR, valid_from TIMESTAMPTZ, valid_until TIMESTAMPTZ)')
            self._created.add(key)

    def _arrow(self, name: str, column: Column | None) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415 - only needed where a rule uses a list

        time = pa.timestamp("us", tz="UTC")
        entries = self._entries[name]
        return pa.table(
            {
                "value": pa.array([cast(column, e.value) if column else e.value for e in entries], pa.string()),
                "valid_from": pa.array([e.valid_from for e in entries], time),
                "valid_until": pa.array([e.valid_until for e in entries], time),
            }
        )


def load_lists(directories: Iterable[Path], zone: str, problems: Problems) -> Lists:
    """All lists below directories of rules; a later directory's list replaces an earlier one's of the same name."""
    found: dict[str, tuple[Entry, ...]] = {}
    for directory in directories:
        for file in sorted(directory.glob("lists/*.csv")):
            try:
                found[file.stem] = tuple(_read(file, ZoneInfo(zone)))
            except RuleError as error:
                found.setdefault(file.stem, ())
                problems.errors.append(error)
    return Lists(found)


def _read(file: Path, zone: ZoneInfo) -> Iterator[Entry]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"cannot be read: {error}", where=Place(file)) from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = _header([cell.strip() for cell in next(rows, [])], Place(file))
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield _entry(
                    dict(zip(header, (c.strip() for c in cells), strict=False)),
                    cells,
                    header,
                    zone,
                    Place(file, rows.line_num),
                )
    except csv.Error as error:
        raise RuleError(f"not valid CSV: {error}", where=Place(file, rows.line_num)) from error


def _header(names: list[str], place: Place) -> list[str]:
    if "value" not in names:
        raise RuleError("the first line must name the columns", where=place, hint="value[,from,until,note]")
    for name in names:
        if name not in _COLUMNS:
            raise RuleError(f"unknown column {name!r}", where=place, hint=nearest(name, _COLUMNS))
    return names


def _entry(row: Mapping[str, str], cells: list[str], header: list[str], zone: ZoneInfo, place: Place) -> Entry:
    if len(cells) > len(header):
        raise RuleError(
            f"{len(cells)} cells under {len(header)} columns", where=place, hint='quote text with a comma: "a, b"'
        )
    if not row["value"] or "\x00" in row["value"]:
        raise RuleError("a value is wanted here", where=place)
    valid_from, valid_until = (_instant(row.get(name, ""), zone, place) for name in ("from", "until"))
    if valid_from and valid_until and valid_from >= valid_until:
        raise RuleError("from is not before until", where=place)
    return Entry(row["value"], valid_from, valid_until, place)


def _instant(text: str, zone: ZoneInfo, place: Place) -> datetime | None:
    """A date or time; without a zone it is in the city's."""
    if not text:
        return None
    try:
        made = datetime.fromisoformat(text)
        return (made if made.tzinfo else made.replace(tzinfo=zone)).astimezone(ZoneInfo("UTC"))
    except (ValueError, OverflowError) as error:
        hint = "write 2026-05-01, 2026-05-01 18:00 or 2026-05-01T18:00:00Z"
        raise RuleError(f"{text!r} is no date or time", where=place, hint=hint) from error
