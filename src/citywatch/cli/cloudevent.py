"""Stored events as CloudEvents again: what `run` reads back as the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def cloudevent_sql() -> str:
    """A stored event as a CloudEvent: its attributes, its extensions, its data as it came."""

    def time(column: str) -> str:
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"

    return (
        """'{"specversion":"1.0","id":' || to_json(id) || ',"source":' || to_json(source)"""
        """ || ',"type":' || to_json(type) || coalesce(',"subject":' || to_json(subject), '')"""
        f""" || ',"time":"' || {time("time")} || '","receivedat":"' || {time("received_at")} || '","late":' || late"""
        """ || CASE WHEN time_precision <> 'second' THEN ',"timeprecision":' || to_json(time_precision) ELSE '' END"""
        """ || CASE WHEN length(extensions) > 2 THEN ',' || substr(extensions, 2, length(extensions) - 2) ELSE '' END"""
        """ || coalesce(',"data":' || data, '') || '}'"""
    )


def cloudevents(events: pa.Table) -> list[str]:
    """The events of a batch (`event.batch_schema`) as CloudEvents in JSON."""
    import duckdb

    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("batch", events)
        return [text for (text,) in con.execute(f"SELECT {cloudevent_sql()} FROM batch").fetchall()]
