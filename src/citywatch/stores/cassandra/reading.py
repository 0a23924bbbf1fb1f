"""Reports of persons and alerts, given back from Cassandra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
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
    """One keyspace that a relay fills; `con` gets its events. Raises StoreError."""

    def __init__(self, session: Session, address: connection.Address, con: duckdb.DuckDBPyConnection) -> None:
        self._session, self._address, self._con = session, address, con

    @cached_property
    def zone(self) -> str:
        """The city's time zone, as the data directory that fills the keyspace has it."""
        found = {row.zone for row in self._rows("zone", "relays") if row.zone}
        if not found:
            hint = "fill it with `citywatch up --store`; an older table is read by `citywatch run cassandra://…/users`"
            raise StoreError(f"nothing has been stored in {self._address.name}", hint=hint)
        return str(min(found))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The time zone; a keyspace holds no others."""
        return {"zone": self.zone}

    def tables(self) -> Mapping[str, Callable[[], pa.Table]]:
        """What reads the alerts: column `line`, as the contract writes them in JSON."""
        return {"alerts": lambda: self._texts("line", "alerts")}

    def create_view(self) -> None:
        """Make the relation ``events``: the reports of persons, with all stored and derived columns."""
        con = self._con
        con.register("reports", self._texts("event", "users"))
        stored = ", ".join(f'{_column_sql(name, sql)} AS "{name}"' for name, sql in STORED)
        derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(self.zone).items())
        con.execute(f"CREATE TEMP TABLE events AS SELECT *, {derived} FROM (SELECT {stored} FROM {_PARSED})")
        con.unregister("reports")

    def _texts(self, column: str, table: str) -> pa.Table:
        """A column of a table, of rows that have it; read page by page."""
        values = (getattr(row, column) for row in self._rows(column, table))
        return pa.table({column: pa.array((value for value in values if value is not None), pa.string())})

    def _rows(self, columns: str, table: str) -> Iterator[Any]:
        from cassandra.query import SimpleStatement  # noqa: PLC0415 - an extra that few need

        query = SimpleStatement(f"SELECT {columns} FROM {self._address.keyspace}.{table}", fetch_size=_PAGE)
        with connection.explained(self._address, _failed, _RIGHTS):
            yield from self._session.execute(query)


@contextmanager
def open_reader(address: str, con: duckdb.DuckDBPyConnection) -> Iterator[Reader]:
    """The keyspace at an address. Raises UsageError, StoreError."""
    parsed = connection.parse(address)
    with connection.session(parsed, _failed) as session:
        yield Reader(session, parsed, con)


_RIGHTS = "has the user the rights of citywatch_reports? `citywatch cassandra users` makes one"


def _failed(what: str, hint: str) -> StoreError:
    return StoreError(what, hint=hint)


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
