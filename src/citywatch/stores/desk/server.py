"""The desk on PostgreSQL, which consoles of several processes and machines share.

The tables are those of the file; the statements too, in the dialect of PostgreSQL. One writer at a time holds the lock
of the desk until it has committed, as with the file: numbers of the stream are given out inside it, so that a reader
who kept the highest number it saw misses nothing of transactions that end in another order than they began.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown
from psycopg_pool import ConnectionPool, PoolTimeout

from citywatch.connections.postgresql import Address, database_address
from citywatch.errors import DataVersionError, DiskFullError, StoreError
from citywatch.settings import DAY
from citywatch.stores.desk import AnyDesk
from citywatch.stores.desk.connection import Connection, Params, Rows
from citywatch.stores.desk.dialect import FUNCTIONS, statement, table
from citywatch.stores.desk.tables import AUDIT_KEY, VERSION, statements

LOCK = 0x63697479
"""Of the desk's writers, among advisory locks of the database; with the number of the schema."""

APPEND_ONLY = ("actions", "audit", "audit_subjects", "decisions", "secrets")
"""Tables whose rows a console may add, and never change or remove."""

_STREAMED = 2_000


class Desk(AnyDesk):
    """A desk on a server; of use to one thread at a time. Takes a connection of the pool for as long as it is open."""

    aside = None

    def __init__(self, server: Server, *, live: int = DAY) -> None:
        self._server = server
        self.live = live
        with store_errors(server.address):
            self._lent = server.pool.getconn()
        self._con = _Statements(self._lent)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing; takes the lock of the writers at its start, so that what was read in it stays true."""
        with store_errors(self._server.address), self._lent.transaction():
            self._lent.execute("SELECT pg_advisory_xact_lock(%s, current_schema()::regnamespace::oid::int)", [LOCK])
            yield self._con

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection of its own for a long read: what others write meanwhile is not seen, and does not wait."""
        with store_errors(self._server.address), self._server.pool.connection() as con, con.transaction():
            con.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            with closing(_Streamed(con)) as streamed:
                yield streamed

    def seen(self) -> int:
        """A number that changes whenever somebody has written."""
        return int(self._con.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])

    def secret(self, name: str) -> bytes:
        """A secret that all who use this desk share; made by the first who asks."""
        with self.transaction() as con:
            new = [name, secrets.token_bytes(32)]
            con.execute("INSERT INTO secrets VALUES (?, ?) ON CONFLICT DO NOTHING", new)
            return bytes(con.execute("SELECT value FROM secrets WHERE name = ?", [name]).fetchone()[0])

    def close(self) -> None:
        """Give the connection back."""
        self._server.pool.putconn(self._lent)


class Server:
    """Connections to the database that holds a desk, for all threads of a process.

    Parameters
    ----------
    address
        Where it is.
    most
        Connections at the same time; who wants one more waits.

    Raises
    ------
    StoreError
        Nobody answers, or not to this user.
    DataVersionError
        The tables are of another version.
    """

    def __init__(self, address: Address, *, most: int = 16) -> None:
        self.address = address
        with store_errors(address), psycopg.connect(address.conninfo(), autocommit=True, connect_timeout=10) as con:
            _prepare(con, address)
        self.pool = ConnectionPool(
            address.conninfo(),
            kwargs={"autocommit": True},
            min_size=1,
            max_size=most,
            timeout=10,
            configure=_adapt,
            check=ConnectionPool.check_connection,
            open=True,
        )

    def desk(self, *, live: int = DAY) -> Desk:
        """The desk, for one thread."""
        return Desk(self, live=live)

    def grant(self, role: str) -> None:
        """Let a role use the desk, and no more than that."""
        with store_errors(self.address), self.pool.connection() as con, con.transaction():
            _grant(con, self.address.schema, role)

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()


@contextmanager
def open_desk(address: str) -> Iterator[Desk]:
    """The desk at an address as somebody typed it, for one thread. Raises UsageError, StoreError."""
    server = Server(database_address(address, typed=True), most=2)
    with closing(server), server.desk() as desk:
        yield desk


def _prepare(con: psycopg.Connection[Any], address: Address) -> None:
    """Make the tables, or those that an older version lacks."""
    if _version(con) != VERSION:
        with con.transaction():
            con.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
            _make(con, address.schema)
    if (version := _version(con)) != VERSION:
        raise DataVersionError(
            f"{address} has version {version} of the desk's tables, this citywatch knows {VERSION}",
            hint="use the citywatch that wrote it, or another database",
        )


def _version(con: psycopg.Connection[Any]) -> int:
    if con.execute("SELECT to_regclass('version')").fetchone() == (None,):
        return 0
    return int((con.execute("SELECT number FROM version").fetchone() or [0])[0])


def _make(con: psycopg.Connection[Any], schema: str) -> None:
    if con.execute("SELECT to_regnamespace(%s)", [schema]).fetchone() == (None,):
        con.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(psycopg.sql.Identifier(schema)))
    con.execute("CREATE TABLE IF NOT EXISTS version (one BOOLEAN PRIMARY KEY CHECK (one), number BIGINT NOT NULL)")
    for function in FUNCTIONS:
        con.execute(function)
    for wanted in range(_version(con) + 1, VERSION + 1):
        for made in statements(wanted):
            con.execute(table(made))
        known = "INSERT INTO version VALUES (TRUE, %s) ON CONFLICT (one) DO UPDATE SET number = excluded.number"
        con.execute(known, [wanted])
    con.execute(statement(AUDIT_KEY), [secrets.token_bytes(32)])


def _grant(con: psycopg.Connection[Any], schema: str, role: str) -> None:
    names = {"schema": psycopg.sql.Identifier(schema), "role": psycopg.sql.Identifier(role)}
    for words in (
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        "REVOKE INSERT, UPDATE, DELETE ON version FROM {role}",
        f"REVOKE UPDATE, DELETE ON {', '.join(APPEND_ONLY)} FROM {{role}}",
    ):
        con.execute(psycopg.sql.SQL(words).format(**names))


class _Row(tuple[Any, ...]):
    """Values in order, and by name."""

    names: dict[str, int]

    __slots__ = ()

    def __getitem__(self, place: Any) -> Any:
        return tuple.__getitem__(self, self.names[place] if isinstance(place, str) else place)

    def keys(self) -> list[str]:
        return list(self.names)


def _rows(cursor: psycopg.Cursor[Any]) -> Any:
    """Makes rows of a class that knows the names of this answer's columns; of equal names the first counts."""
    names: dict[str, int] = {}
    for place, column in enumerate(cursor.description or ()):
        names.setdefault(column.name, place)
    return type("Row", (_Row,), {"names": names, "__slots__": ()})


class _Statements:
    """A connection that takes the desk's SQL."""

    def __init__(self, con: psycopg.Connection[Any]) -> None:
        self._con = con

    def cursor(self) -> psycopg.Cursor[Any] | psycopg.ServerCursor[Any]:
        return self._con.cursor(row_factory=_rows)

    def execute(self, sql: str, parameters: Params = (), /) -> Rows:
        return self.cursor().execute(statement(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Rows:
        cursor = self.cursor()
        cursor.executemany(statement(sql), list(parameters))  # making them may ask this connection
        return cursor


class _Streamed(_Statements):
    """The same for a long read: rows are fetched as they are asked for."""

    def __init__(self, con: psycopg.Connection[Any]) -> None:
        super().__init__(con)
        self._cursors: list[psycopg.ServerCursor[Any]] = []

    def cursor(self) -> psycopg.ServerCursor[Any]:
        cursor = self._con.cursor(f"read_{len(self._cursors)}", row_factory=_rows)
        cursor.itersize = _STREAMED
        self._cursors.append(cursor)
        return cursor

    def close(self) -> None:
        for cursor in self._cursors:
            cursor.close()


class _Whole(Loader):
    """Sums of integers come as numbers of any size: they are integers here."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


class _Text(StrDumperUnknown):
    """PostgreSQL has no room for NUL in text; what came with one is kept with a mark in its place."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "�") if "\0" in obj else obj)


def _adapt(con: psycopg.Connection[Any]) -> None:
    con.adapters.register_loader("numeric", _Whole)
    con.adapters.register_dumper(str, _Text)


@contextmanager
def store_errors(address: Address) -> Iterator[None]:
    """Raise what PostgreSQL says as StoreError, with what to do next."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        said = str(error).strip().splitlines()
        what = f"{address}: {said[0] if said else type(error).__name__}"
        if isinstance(error, psycopg.errors.DiskFull):
            raise DiskFullError(what, hint="make room on the server, then try again") from error
        raise StoreError(what, hint=_hint(error)) from error


def _hint(error: Exception) -> str | None:
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return "prepare it as the owner of the database: `citywatch console --prepare ROLE`"
        case psycopg.OperationalError() if "password" in str(error):
            return "put the password into a file and name that in CITYWATCH_DATABASE_PASSWORD_FILE"
        case psycopg.ProgrammingError() | psycopg.DataError():
            return None
        case _:
            return "is the server running, and may this user connect? see `citywatch doctor --cluster`"
