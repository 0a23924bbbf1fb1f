"""Keeps Cassandra up with log and desk, from a cursor of its own that stands in Cassandra, beside what it counts.

Everything is an upsert by id and the cursor moves last: after a stop, of either side, the same rows are written again.
A keyspace that is made anew, or restored from an older backup, is filled from where it stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from citywatch.connections import cassandra as connection
from citywatch.errors import StoreError, UsageError
from citywatch.settings import Settings
from citywatch.stores.cassandra import alert_rows, rows
from citywatch.stores.cassandra.tables import BY_NAME, TABLES
from citywatch.stores.cassandra.writing import Writer
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.history import History
from citywatch.stores.model import Target

if TYPE_CHECKING:
    from cassandra.cluster import Session

SLICE = 20_000
"""Events that are taken over in one go."""
ALERTS = 500
"""Alerts, likewise."""
_MOVE = "INSERT INTO {keyspace}.relays (directory, events, alerts, zone, at) VALUES (?, ?, ?, ?, ?)"
_PLACE = "SELECT events, alerts FROM {keyspace}.relays WHERE directory = ?"


class Relay:
    """Takes one data directory over into one keyspace; a context manager that holds a session.

    Parameters
    ----------
    desk
        The desk of the data directory, for the thread that uses this.
    key
        Of the hashes of plates.

    Raises StoreError when no connection comes about, a table is missing or the server goes away; it can then be called
    again.
    """

    def __init__(
        self, address: connection.Address, history: History, desk: Desk, settings: Settings, key: bytes
    ) -> None:
        self._address, self._history, self._desk, self._settings = address, history, desk, settings
        self._key = key
        self._open = ExitStack()
        self._events = self._alerts = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._session: Session = stack.enter_context(connection.session(self._address, _failed))
            self._require_tables()
            self._writer = Writer(self._session)
            texts = {**rows.STATEMENTS, **alert_rows.STATEMENTS}
            with connection.explained(self._address, _failed, _RIGHTS):
                self._insert = {name: self._prepared(cql) for name, cql in texts.items()}
                self._delete = {name: self._prepared(cql) for name, cql in alert_rows.DELETES.items()}
                self._standing, self._move = self._prepared(alert_rows.STANDING), self._prepared(_MOVE)
                self._directory = self._desk.directory_name()
                self._events, self._alerts = self._place()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def place(self) -> tuple[int, int]:
        """Numbers of the last event and of the last change of an alert that are taken over."""
        return self._events, self._alerts

    @property
    def refused(self) -> int:
        """Rows that can never be stored, since somebody set it to 0."""
        return self._writer.refused

    @refused.setter
    def refused(self, count: int) -> None:
        self._writer.refused = count

    @property
    def why(self) -> str:
        """What was wrong with the last of them."""
        return self._writer.why

    def once(self) -> bool:
        """Take over a slice of each, if there is any; False when there is none."""
        with connection.explained(self._address, _failed, _RIGHTS):
            events = self._take_events()
            return self._take_alerts() or events

    def _require_tables(self) -> None:
        found = self._session.cluster.metadata.keyspaces.get(self._address.keyspace)
        if missing := [table.name for table in TABLES if found is None or table.name not in found.tables]:
            raise StoreError(
                f"{self._address.name} has no table {missing[0]}", hint="`citywatch cassandra setup` makes the tables"
            )

    def _prepared(self, cql: str) -> Any:
        return self._session.prepare(cql.format(keyspace=self._address.keyspace))

    def _place(self) -> tuple[int, int]:
        """Where the keyspace stands; from the beginning when it is ahead of a data directory restored since."""
        row = self._session.execute(self._prepared(_PLACE), [self._directory]).one()
        events, alerts = (row.events or 0, row.alerts or 0) if row else (0, 0)
        if events > self._history.rows() or alerts > self._desk.last_change():
            return 0, 0
        return events, alerts

    def _take_events(self) -> bool:
        until = min(self._history.rows(), self._events + SLICE)
        if until <= self._events:
            return False
        with duckdb.connect(config={"threads": 2, "memory_limit": "400MB"}) as con:
            con.execute("SET TimeZone = 'UTC'")
            relation = self._history.relation_sql(above=self._events, until=until)
            con.execute(f"CREATE TEMP TABLE events AS {relation}")
            for table, values in rows.rows_of(con, self._settings.retention, now_us(), self._hashed):
                self._write(table, values)
        self._moved(events=until)
        return True

    def _take_alerts(self) -> bool:
        found = self._desk.changes_since(self._alerts, limit=ALERTS)
        if not found:
            return False
        self._write_alerts([listed.alert for listed in found])
        self._moved(alerts=found[-1].change)
        return True

    def _write_alerts(self, alerts: list[Mapping[str, Any]]) -> None:
        now, span = now_us(), self._settings.retention.alerts
        lives = {alert["id"]: alert_rows.seconds_left(alert, span, now) for alert in alerts}
        kept = [alert for alert in alerts if lives[alert["id"]] >= 0]
        new = {alert["id"]: alert_rows.Standing.of(alert, self._hashed) for alert in kept}
        lookups: dict[str, list[rows.Row]] = {}
        for alert in kept:
            for table, values in alert_rows.rows_of(alert, new[alert["id"]], lives[alert["id"]]):
                lookups.setdefault(table, []).append(values)
        for table, written in lookups.items():
            self._write(table, written)
        for table, keys in self._left(new).items():
            self._writer.write(self._delete[table], keys, together=True)
        self._write("alerts", [alert_rows.whole(a, new[a["id"]], lives[a["id"]]) for a in kept])

    def _write(self, table: str, values: Iterable[rows.Row]) -> None:
        self._writer.write(self._insert[table], values, together=BY_NAME[table].most[0] > 1)

    def _left(self, new: Mapping[str, alert_rows.Standing]) -> dict[str, list[alert_rows.Key]]:
        """Table -> keys under which these alerts stood before, and stand no more."""
        left: dict[str, list[alert_rows.Key]] = {}
        for done, answer in self._writer.answers(self._standing, [(ident,) for ident in new]):
            if not done:
                raise answer
            for row in answer:
                old, now = alert_rows.Standing.read(row), set(new[row.id].rows())
                for table, key in old.rows():
                    if (table, key) not in now:
                        left.setdefault(table, []).append(key)
        return left

    def _moved(self, *, events: int | None = None, alerts: int | None = None) -> None:
        self._events = self._events if events is None else events
        self._alerts = self._alerts if alerts is None else alerts
        place = (self._directory, self._events, self._alerts, self._settings.zone, int(time.time() * 1000))
        self._session.execute(self._move, place)

    def _hashed(self, plate: str) -> str:
        return rows.plate_hash(self._key, plate)


def open_target(text: str) -> Target:
    """The keyspace at an address, to be kept up. Raises UsageError."""
    address = connection.parse(text)
    if address.table:
        raise UsageError(f"{text!r} names a table", hint="a store is a whole keyspace: cassandra://user@host/keyspace")
    return Target(address.name, partial(Relay, address))


_RIGHTS = "has the user the rights of citywatch_writer? `citywatch cassandra users` makes one"


def _failed(what: str, hint: str) -> StoreError:
    return StoreError(what, hint=hint)
