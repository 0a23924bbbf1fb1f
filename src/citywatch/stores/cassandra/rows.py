"""Events as rows of the tables about devices and persons, made in SQL.

Each query gives the values of one prepared statement, in its order; its last column is the seconds that the row is to
live, 0 for ever. What is older than it is to be kept gives no row.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import duckdb

from citywatch.event import FIELDS
from citywatch.masking import SENSITIVE
from citywatch.records.cloudevent import cloudevent_sql
from citywatch.settings import SECOND, Retention
from citywatch.stores.cassandra.tables import BY_NAME, LAST_S, PARTS

Row = tuple[Any, ...]

_MEASURED = ("battery", "temperature", "altitude", "speed_kmh", "humidity", "light")
_HIDDEN = {*SENSITIVE, "summons_number", "corrects_id"}

STATEMENTS = {
    "devices": f"INSERT INTO {{keyspace}}.devices ({', '.join(BY_NAME['devices'].names)}) "
    f"VALUES ({', '.join('?' * len(BY_NAME['devices'].names))}) USING TIMESTAMP ? AND TTL ?",
    **{
        name: f"INSERT INTO {{keyspace}}.{name} ({', '.join(BY_NAME[name].names)}) "
        f"VALUES ({', '.join('?' * len(BY_NAME[name].names))}) USING TTL ?"
        for name in ("device_history", "users")
    },
}
"""Table -> the statement that its rows are for, with `{keyspace}` to fill in. A word of a device counts by the time at
which it was said: an older one that comes later changes nothing."""


def plate_hash(key: bytes, plate: str) -> str:
    """The plate's HMAC-SHA256, in hexadecimal: the same for the same, and nothing without the key."""
    return hmac.digest(key, f"plate\0{plate}".encode(), hashlib.sha256).hex()


def rows_of(
    con: duckdb.DuckDBPyConnection, retention: Retention, now: int, hashed: Callable[[str], str]
) -> Iterable[tuple[str, list[Row]]]:
    """(table, rows) of the relation ``events`` of `con`, which has all stored and derived columns.

    `now` is µs UTC, `hashed` gives the hash of a plate.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE kept AS SELECT *, {_ttl(retention, now)} AS ttl FROM events")
    con.execute("DELETE FROM kept WHERE ttl < 0")
    yield "users", con.execute(_USERS).fetchall()
    yield "device_history", [_history(row, hashed) for row in con.execute(_HISTORY).fetchall()]
    yield "devices", [_device(row) for row in con.execute(_DEVICES).fetchall()]


def _ttl(retention: Retention, now: int) -> str:
    span = retention.span_sql("type")
    if span is None:
        return "CAST(0 AS BIGINT)"
    left = f"(epoch_us(time) + ({span}) - {now}) // {SECOND}"
    known = f"WHEN {left} > {LAST_S - now // SECOND} THEN 0 WHEN {left} > 0 THEN {left} WHEN {left} <= 0 THEN -1"
    return f"CAST(CASE {known} ELSE 0 END AS BIGINT)"


def _history(row: Row, hashed: Callable[[str], str]) -> Row:
    *key, plate, lat, lon, event, ttl = row
    return (*key, hashed(plate) if plate else None, _position(lat, lon), event, ttl)


def _device(row: Row) -> Row:
    """What the event does not say stays as it was."""
    from cassandra.query import UNSET_VALUE  # noqa: PLC0415 - an extra that few need

    device, kind, said_at, lat, lon, *measured = row
    values = (device, kind, said_at, _position(lat, lon), *measured)
    return tuple(UNSET_VALUE if value is None else value for value in values)


def _position(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    return None if lat is None or lon is None else (lat, lon)


@cache
def _shown() -> str:
    """An event as JSON, without plates, names, and fields that nobody knows."""
    fields = [field.name for field in FIELDS if not field.derived and field.name not in _HIDDEN]
    known = ", ".join(f"""'"{name}":' || to_json({name})""" for name in ("type", "source", "id", *fields))
    times = f"""'"time":"' || {_iso("time")} || '"', '"received_at":"' || {_iso("received_at")} || '"'"""
    return f"'{{' || concat_ws(',', {times}, {known}) || '}}'"


def _iso(column: str) -> str:
    return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"


_HISTORY = f"""
SELECT device_id, CAST(time AS DATE), CAST(hour(time) // {24 // PARTS} AS TINYINT), epoch_ms(time), source, id, type,
       plate, lat, lon, {_shown()}, ttl
FROM kept WHERE device_id IS NOT NULL"""

# Of the words of each device the newest, and the newest that says each thing: a few rows, however much was said.
_NEWEST = ", ".join(
    f"arg_max(seq, (time, seq)) FILTER ({said})"
    for said in ("true", "lat IS NOT NULL AND lon IS NOT NULL", *(f"{name} IS NOT NULL" for name in _MEASURED))
)
_DEVICES = f"""
WITH newest AS (SELECT DISTINCT unnest([{_NEWEST}]) AS seq FROM kept WHERE device_id IS NOT NULL GROUP BY device_id)
SELECT device_id, device_kind, epoch_ms(time), lat, lon, {", ".join(_MEASURED)}, {_shown()}, epoch_us(time), ttl
FROM kept SEMI JOIN newest USING (seq)"""

_USERS = f"""
SELECT CASE WHEN source = 'safety-watcher' THEN id ELSE source || '/' || id END,
       first_name, last_name, gender, age, behaviors,
       CASE WHEN x IS NOT NULL AND y IS NOT NULL THEN [CAST(round(x) AS INTEGER), CAST(round(y) AS INTEGER)] END,
       local_hour || ':' || minute(time), timeframe, phone, picture, dangerosity, source, epoch_ms(time),
       {cloudevent_sql(full=True, fingerprint=True)}, ttl
FROM kept WHERE type = 'person.report'"""
