"""The desk in a file of SQLite, which engine, command line and console on one machine share."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from citywatch.errors import DataVersionError, DiskFullError, StoreError
from citywatch.settings import DAY
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.database import Database
from citywatch.stores.desk.tables import AUDIT_KEY, VERSION, statements

_ATTEMPTS = 500


class File(Database):
    """Connection to the file, and transactions."""

    def __init__(self, path: Path, *, live: int = DAY, create: bool = True) -> None:
        self.path = path
        self.aside = path.parent / "rejected"
        self.live = live
        if not create and not path.exists():
            raise StoreError(f"{path.parent} holds no citywatch data", hint="name the data directory with --data DIR")
        with _as_store_errors(path):
            self._con = self._file = self._connect()
            self._prepare()

    def _connect(self) -> sqlite3.Connection:
        # Transactions are ours (isolation_level=None); a writer waits for another one, at most 30 s.
        con = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        con.row_factory = sqlite3.Row
        # FULL: a commit is on the disk when it returns. Rejected records and actions exist nowhere else.
        con.executescript("PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-64000;")
        return con

    def _prepare(self) -> None:
        version = self._version()
        if version == VERSION:
            return
        if version == 0:
            self._con.execute("PRAGMA page_size=8192")
            self._begin_log()
        if version < VERSION:
            with self.transaction() as con:
                # Another process may have made the tables while this one waited for the lock.
                for wanted in range(self._version() + 1, VERSION + 1):
                    for statement in statements(wanted):
                        con.execute(statement)
                    con.execute(f"PRAGMA user_version={wanted}")
                con.execute(AUDIT_KEY, [secrets.token_bytes(32)])
            version = self._version()
        if version != VERSION:
            raise DataVersionError(
                f"{self.path} has version {version} of its tables, this citywatch knows {VERSION}",
                hint="use the citywatch that wrote it, or another data directory",
            )

    def _begin_log(self) -> None:
        """Use a write-ahead log. Where others make the file at the same time SQLite does not wait for them: we do."""
        for attempt in range(_ATTEMPTS):
            try:
                self._con.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.01)
            else:
                return

    def _version(self) -> int:
        return int(self._con.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing; takes the write lock at its start, so that what was read in it stays true."""
        with _as_store_errors(self.path):
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield self._con
                self._con.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._con.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection of its own for a long read: what others write meanwhile is not seen, and does not wait."""
        with _as_store_errors(self.path):
            con = self._connect()
            con.execute("PRAGMA cache_size=-2000")  # to keep what is read once costs half as much again as to read it
            try:
                yield con
            finally:
                con.close()

    def close(self) -> None:
        """Close the connection; the last one of all folds the write-ahead log into the file."""
        self._file.close()

    def seen(self) -> int:
        """A number that changes whenever somebody else has written; asking costs microseconds."""
        return int(self._con.execute("PRAGMA data_version").fetchone()[0])


@contextmanager
def _as_store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise DiskFullError(f"{path} cannot grow: the disk is full", hint="make room, then start again") from error
        raise StoreError(f"{path}: {error}", hint=_HINTS.get(name)) from error


_HINTS = {
    "SQLITE_BUSY": "another program has held the file for over 30 s; try again, or see `citywatch doctor`",
    "SQLITE_CANTOPEN": "does the directory exist, and may you write there?",
    "SQLITE_READONLY": "may you write this file and its directory?",
    "SQLITE_NOTADB": "the file is no SQLite database; restore it from a backup",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
}
