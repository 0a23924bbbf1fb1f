"""Reports of persons and alerts, given back from Cassandra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from citywatch.connections import cassandra as connection
from citywatch.errors import StoreError
from citywatch.event import FIELDS, STORED, derived_sql
from citywatch.records.cloudevent import FINGERPRINT

if TYPE_CHECKING:
    from cassandra.cluster import Session

_PAGE = 2_000


class Reader:
    """One keyspace that a relay fills. Raises StoreError."""

    def __init__(self, session: Session, address: connection.Address) -> None:
        self._session, self._address = session, address

    def zone(self) -> str:
        """The city's time zone, as the data directory that fills the keyspace has it."""
        found = {row.zone for row in self._rows("zone", "relays") if row.zone}
        if not found:
            hint = "fill it with `citywatch up --store`; an older table is read by `citywatch run cassandra://…/users`"
            raise StoreError(f"nothing has been stored in {self._address.name}", hint=hint)
        return str(min(found))

    def alerts(self) -> pa.Table:
        """Column `line`: the alerts as the contract writes them, in JSON."""
        return self._texts("line", "alerts")

    def create_events(self, con: duckdb.DuckDBPyConnection, zone: str) -> None:
        """Make the table ``events`` on `con`: the reports of persons, with all stored and derived columns."""
        con.register("reports", self._texts("event", "users"))
        stored = ", ".join(f'{_column_sql(name, sql)} AS "{name}"' for name, sql in STORED)
        derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(zone).items())
        con.execute(f"CREATE TEMP TABLE events AS SELECT *, {derived} FROM (SELECT {stored} FROM {_PARSED})")
        con.unregister("reports")

    def _texts(self, column: str, table: str) -> pa.Table:
        """A column of a table, of rows that have it; read page by page."""
        values = (getattr(row, column) for row in self._rows(column, table))
        return pa.table({column: pa.array((value for value in values if value is not None), pa.string())})

    def _rows(self, columns: str, table: str) -> Iterator[Any]:
        from cassandra.query import SimpleStatement  # noqa: PLC0415 - an extra that few need

        query = SimpleStatement(f"SELECT {columns} FROM {self._address.keyspace}.{table}", fetch_size=_PAGE)
        try:
            yield from self._session.execute(query)
        except connection.errors() as error:
            hint = "has the user the rights of citywatch_reports? `citywatch cassandra users` makes one"
            raise StoreError(f"{self._address.name}: {connection.said(error)}", hint=hint) from error


@contextmanager
def reader(address: connection.Address) -> Iterator[Reader]:
    """A reader for a while. Raises StoreError."""
    with connection.session(address, lambda what, hint: StoreError(what, hint=hint)) as session:
        yield Reader(session, address)


_ATTRIBUTES = {
    **{name: f"event->>'$.{name}'" for name in ("id", "source", "type", "subject")},
    "time": "CAST(event->>'$.time' AS TIMESTAMPTZ)",
    "received_at": "CAST(event->>'$.receivedat' AS TIMESTAMPTZ)",
    "late": "CAST(event->>'$.late' AS BOOLEAN)",
    "time_precision": "coalesce(event->>'$.timeprecision', 'second')",
    "fingerprint": f"CAST(event->>'$.{FINGERPRINT}' AS UINTEGER)",
    "data": "event->>'$.data'",
}
_STRUCTURE = "{" + ", ".join(f'"{field.name}": "{field.sql}"' for field in FIELDS if not field.derived) + "}"
_PARSED = f"(SELECT CAST(event AS JSON) AS event, from_json(event->'$.data', '{_STRUCTURE}') AS known FROM reports)"
_KNOWN = {field.name for field in FIELDS}


def _column_sql(name: str, sql: str) -> str:
    if name in _ATTRIBUTES:
        return _ATTRIBUTES[name]
    if name in _KNOWN:
        return f'known."{name}"'
    return "row_number() OVER ()" if name == "seq" else f"CAST(NULL AS {sql})"
