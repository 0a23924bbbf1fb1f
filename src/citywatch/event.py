"""The event: CloudEvents 1.0 attributes and typed columns.

One table of columns is the source for everything that has to know them: casts at the intake, the rule compiler,
history files, the reference page. A batch of events is an Arrow table with `BATCH_SCHEMA`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """One known field: its SQL type as predicates see it, the group it is documented in, and its meaning."""

    name: str
    sql: str
    group: str
    meaning: str
    derived: bool = False


_TABLE = """
attributes | id             | VARCHAR     | id given by the source
attributes | source         | VARCHAR     | who sent it; with id the identity of the event
attributes | type           | VARCHAR     | what kind of event
attributes | subject        | VARCHAR     | what it is about
attributes | time           | TIMESTAMPTZ | when it happened
attributes | received_at    | TIMESTAMPTZ | when it entered citywatch
attributes | late           | BOOLEAN     | received more than the lateness after it happened
attributes | time_precision | VARCHAR     | second, minute or day
place      | lat            | DOUBLE      | latitude, WGS 84, degrees
place      | lon            | DOUBLE      | longitude, WGS 84, degrees
place      | address        | VARCHAR     | address in words
place      | street         | VARCHAR     | name of the street
place      | borough        | VARCHAR     | one of the five boroughs
place      | precinct       | SMALLINT    | police precinct
place      | zones          | VARCHAR[]   | names of the zones that hold the position
place      | x              | DOUBLE      | the 1..100 plane of the older watcher, east
place      | y              | DOUBLE      | the 1..100 plane of the older watcher, north
local time | local_date     | DATE        | date in the city's zone                                    | derived
local time | local_hour     | TINYINT     | hour in the city's zone, 0-23                              | derived
local time | local_weekday  | TINYINT     | weekday in the city's zone, 1 = Monday .. 7                | derived
local time | timeframe      | VARCHAR     | night 0-5, morning 6-11, afternoon 12-17, evening 18-23    | derived
device     | device_id      | VARCHAR     | id of the camera, sensor, drone or desk
device     | device_kind    | VARCHAR     | camera, sensor, drone or desk
device     | battery        | DOUBLE      | charge, percent
device     | temperature    | DOUBLE      | degrees Celsius
device     | altitude       | DOUBLE      | metres
device     | speed_kmh      | DOUBLE      | kilometres an hour
device     | humidity       | DOUBLE      | relative, percent
device     | light          | DOUBLE      | lux
violation  | violation_code | SMALLINT    | the city's code of the offence
violation  | needs_human    | BOOLEAN     | the device could not qualify the offence
violation  | image_id       | VARCHAR     | the image that belongs to it
violation  | plate          | VARCHAR     | number plate, upper case letters and digits only
violation  | plate_state    | VARCHAR     | state that issued the plate
violation  | plate_type     | VARCHAR     | kind of plate
violation  | plate_confidence | DOUBLE    | 0..1
violation  | vehicle_make   | VARCHAR     | make
violation  | vehicle_body   | VARCHAR     | body type
violation  | vehicle_color  | VARCHAR     | colour
violation  | vehicle_year   | SMALLINT    | model year
violation  | summons_number | VARCHAR     | number of the ticket
violation  | issuer_agency  | VARCHAR     | agency that issued it
violation  | corrects_source | VARCHAR    | source of the event that this one corrects
violation  | corrects_id    | VARCHAR     | id of the event that this one corrects
person     | person_id      | VARCHAR     | who
person     | first_name     | VARCHAR     | first name
person     | last_name      | VARCHAR     | last name
person     | gender         | VARCHAR     | as reported; never part of a score
person     | phone          | VARCHAR     | phone number
person     | picture        | VARCHAR     | address of a picture
person     | age            | SMALLINT    | years; never part of a stable score
person     | behaviors      | VARCHAR[]   | behaviours seen
person     | behavior_score | INTEGER     | 0..100 from what is done, where and when
person     | dangerosity    | INTEGER     | the older watcher's score
sensor     | sensor_kind    | VARCHAR     | what is measured
sensor     | unit           | VARCHAR     | unit of the value
sensor     | label          | VARCHAR     | what a camera or sensor recognised
sensor     | value          | DOUBLE      | measured value
sensor     | confidence     | DOUBLE      | 0..1
sensor     | severity       | SMALLINT    | 1..5
"""


def _columns() -> tuple[Column, ...]:
    rows = [[cell.strip() for cell in line.split("|")] for line in _TABLE.strip().splitlines()]
    return tuple(Column(r[1], r[2], r[0], r[3], derived=len(r) > 4) for r in rows)


COLUMNS: tuple[Column, ...] = _columns()
"""All known fields, in the order in which they are shown."""

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

ATTRIBUTES: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.group == "attributes")
FIELDS: tuple[Column, ...] = tuple(c for c in COLUMNS if c.group != "attributes")
"""Known fields that travel inside `data`."""

SHIPPED_TYPES: tuple[str, ...] = (
    "drone.position",
    "drone.violation",
    "violation.image",
    "violation.corrected",
    "ticket.issued",
    "person.report",
    "anpr.read",
    "sensor.reading",
    "camera.event",
    "device.status",
)

# Beside the known fields a stored event has:
#   seq         its number in the log, dense, ascending in the order of intake
#   stale       received more than 24 h after it happened: history only
#   backfill    received before clock - disorder: history only
#   data        the payload as JSON text
#   extensions  further CloudEvents attributes as JSON text, or NULL
#   ident_hi, ident_lo  96 bits of a hash of (source, id); fingerprint: 32 bits of a hash of time and payload
_OWN: tuple[tuple[str, str], ...] = (
    ("seq", "BIGINT"),
    ("stale", "BOOLEAN"),
    ("backfill", "BOOLEAN"),
    ("data", "VARCHAR"),
    ("extensions", "VARCHAR"),
    ("ident_hi", "UBIGINT"),
    ("ident_lo", "UINTEGER"),
    ("fingerprint", "UINTEGER"),
)

STORED: tuple[tuple[str, str], ...] = (
    _OWN[0],
    *((c.name, c.sql) for c in COLUMNS if not c.derived),
    *_OWN[1:],
)
"""(name, SQL type) of every column that is stored; the derived ones are computed where they are asked for."""


IDENTITY = "md5_number(concat(strlen(source), ':', source, id))"
"""SQL of a hash of (source, id)."""


def identity_columns(identity: str) -> str:
    """SQL of the columns ident_hi and ident_lo, of such a hash."""
    return (
        f"CAST({identity} >> 64 AS UBIGINT) AS ident_hi, CAST(({identity} >> 32) & 4294967295 AS UINTEGER) AS ident_lo"
    )


def payload(data: str | None) -> dict[str, Any]:
    """The members of an event's data (JSON text): none, where it carries no data, or data that are no object."""
    found = json.loads(data or "{}")
    return found if isinstance(found, dict) else {}


@cache
def batch_schema() -> pa.Schema:
    """Arrow schema of a batch of stored events: `STORED`, times as microseconds UTC."""
    import pyarrow as pa  # noqa: PLC0415 - the command line imports this module before it needs Arrow

    plain: dict[str, pa.DataType] = {
        "VARCHAR": pa.string(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "TINYINT": pa.int8(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "UINTEGER": pa.uint32(),
        "UBIGINT": pa.uint64(),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }

    def arrow(sql: str) -> pa.DataType:
        return pa.list_(plain[sql[:-2]]) if sql.endswith("[]") else plain[sql]

    return pa.schema([pa.field(name, arrow(sql)) for name, sql in STORED])


def derived_sql(zone: str, time: str = "time") -> dict[str, str]:
    """SQL of the derived columns for events whose TIMESTAMPTZ is called `time`, in the city's IANA zone."""
    local = f"timezone('{zone}', {time})"
    return {
        "local_date": f"CAST({local} AS DATE)",
        "local_hour": f"CAST(hour({local}) AS TINYINT)",
        "local_weekday": f"CAST(isodow({local}) AS TINYINT)",
        "timeframe": f"(['night', 'morning', 'afternoon', 'evening'])[1 + CAST(hour({local}) // 6 AS INTEGER)]",
    }
