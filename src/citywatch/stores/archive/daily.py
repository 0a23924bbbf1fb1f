"""Alerts and rejected records: files for each day on which they were first seen, written anew when the day changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from citywatch.settings import DAY
from citywatch.stores.archive.manifest import Archive, File
from citywatch.stores.archive.writing import write_files
from citywatch.stores.desk import Desk
from citywatch.stores.desk.rejected import RAW_LIMIT
from citywatch.triage import Choice

_ROWS = 2_000
OPTIONS = {"compression": "zstd"}
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

ALERTS = pa.schema([("line", pa.string())])

_time = pa.timestamp("us", tz="UTC")
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("id", "source", "reason", "mapping"), pa.string()),
    **dict.fromkeys(("line", "count"), pa.int64()),
    **dict.fromkeys(("first_seen", "last_seen"), _time),
    "raw": pa.binary(),
    "replayed": pa.bool_(),
}
REJECTED = pa.schema(_TYPES)

_ALERT_MARKS = "SELECT first_seen / :day AS day, count(*), max(change) FROM facts GROUP BY 1"
_REJECTED_MARKS = """
SELECT first_seen / :day AS day, count(*), sum("count"), count(replayed_at), max(last_seen) FROM rejected GROUP BY 1"""


def renewed(
    archive: Archive,
    directory: str,
    known: Mapping[str, tuple[File, ...]],
    marks: Mapping[int, str],
    tables_of: Callable[[int], Iterator[pa.Table]],
) -> dict[str, tuple[File, ...]]:
    """Day -> its files; those whose mark is another one are written anew, those that are empty now are gone."""
    found: dict[str, tuple[File, ...]] = {}
    for number, mark in sorted(marks.items()):
        day = (_BEGINNING + timedelta(days=number)).date().isoformat()
        if day in known and {file.mark for file in known[day]} == {mark}:
            found[day] = known[day]
        elif files := write_files(archive, f"{directory}/day={day}", tables_of(number), OPTIONS, mark=mark):
            found[day] = tuple(files)
    return found


def alert_marks(desk: Desk) -> dict[int, str]:
    """Day -> what changes whenever an alert of that day changes, comes or goes."""
    return _marks(desk, _ALERT_MARKS)


def rejected_marks(desk: Desk) -> dict[int, str]:
    """Day -> the same for rejected records."""
    return _marks(desk, _REJECTED_MARKS)


def _marks(desk: Desk, query: str) -> dict[int, str]:
    with desk.reading() as con:
        rows = con.execute(query, {"day": DAY}).fetchall()
    return {int(row[0]): " ".join(str(value) for value in tuple(row)[1:]) for row in rows}


def alerts_of(desk: Desk) -> Callable[[int], Iterator[pa.Table]]:
    """Gives the alerts of a day: `line`, an alert as the contract writes it in JSON."""

    def tables(day: int) -> Iterator[pa.Table]:
        lines = desk.lines(Choice(since=day * DAY, until=(day + 1) * DAY))
        yield from _tables(({"line": line} for line in lines), ALERTS)

    return tables


def rejected_of(desk: Desk) -> Callable[[int], Iterator[pa.Table]]:
    """Gives the rejected records of a day, `raw` as they came."""

    def tables(day: int) -> Iterator[pa.Table]:
        with desk.reading() as con:
            query = "SELECT * FROM rejected WHERE first_seen >= :since AND first_seen < :until ORDER BY id"
            found = con.execute(query, {"since": day * DAY, "until": (day + 1) * DAY})
            yield from _tables((_rejected(desk, dict(row)) for row in found), REJECTED)

    return tables


def _rejected(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    raw = bytes(row["raw"]) if row["size"] <= RAW_LIMIT else desk.rejected_raw(row["id"])
    return {**{name: row.get(name) for name in _TYPES}, "raw": raw, "replayed": row["replayed_at"] is not None}


def _tables(rows: Iterator[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    some: list[dict[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) >= _ROWS:
            yield pa.Table.from_pylist(some, schema=schema)
            some = []
    yield pa.Table.from_pylist(some, schema=schema)
