"""Stored events as CloudEvents again: what `run` reads back as the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citywatch.event import FIELDS

if TYPE_CHECKING:
    import pyarrow as pa

FINGERPRINT = "citywatchfingerprint"
"""Attribute that says what payload an event came with, so that its printed form is recognised as the same."""


EXPORTED = frozenset(("id", "source", "type", "subject", "time", "received_at", "data", "extensions", "fingerprint"))
"""Columns that tell a table of stored events from any other."""


def cloudevent_sql(*, full: bool = False, fingerprint: bool = False, texts: bool = False) -> str:
    """A stored event as a CloudEvent: its attributes, its extensions, its data as it came.

    `full`: the known fields that it has stand in the data as they were understood (a plate in capitals, a code as a
    number), the local ones too; the batch then has all columns. `fingerprint`: that of what came is said. `texts`: all
    columns are texts.
    """

    def time(column: str) -> str:
        if texts:
            return f"to_json({column})"
        return f"""'"' || strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ') || '"'"""

    return (
        """'{"specversion":"1.0","id":' || to_json(id) || ',"source":' || to_json(source)"""
        """ || ',"type":' || to_json(type) || coalesce(',"subject":' || to_json(subject), '')"""
        f""" || ',"time":' || {time("time")} || ',"receivedat":' || {time("received_at")}"""
        """ || coalesce(',"late":' || late, '')"""
        """ || CASE WHEN time_precision <> 'second' THEN ',"timeprecision":' || to_json(time_precision) ELSE '' END"""
        f"""{_FINGERPRINT if fingerprint else ""}"""
        """ || CASE WHEN length(extensions) > 2 THEN ',' || substr(extensions, 2, length(extensions) - 2) ELSE '' END"""
        f""" || coalesce(',"data":' || {_full_data() if full else "data"}, '') || '}}'"""
    )


_FINGERPRINT = f""" || coalesce(',"{FINGERPRINT}":' || fingerprint, '')"""


def _full_data() -> str:
    """The payload with the known fields in it; one that is no object, or is binary, stays as it came."""
    known = (f"""'"{field.name}":' || to_json({field.name})""" for field in FIELDS)
    object_ = f"json_merge_patch(coalesce(data, '{{}}'), '{{' || concat_ws(',', {', '.join(known)}) || '}}')"
    binary = "coalesce(contains(extensions, '\"data_base64\"'), false)"
    return f"""CASE WHEN coalesce(json_type(data), 'NULL') NOT IN ('OBJECT', 'NULL') OR {binary} THEN data
      ELSE CAST({object_} AS VARCHAR) END"""


def cloudevents(events: pa.Table) -> list[str]:
    """The events of a batch (`event.batch_schema`) as CloudEvents in JSON."""
    import duckdb  # noqa: PLC0415 - a source that reads what was printed needs only the SQL

    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("batch", events)
        return [text for (text,) in con.execute(f"SELECT {cloudevent_sql()} FROM batch").fetchall()]
