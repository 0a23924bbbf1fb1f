"""The file behind the desk: its tables, its connection, its transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from citywatch.errors import DataVersionError, DiskFullError, StoreError
from citywatch.settings import DAY

VERSION = 4
"""Of the tables below; kept in the file as its `user_version`."""

ENGINE = "citywatch"
"""Who acts when nobody does: reopening, the end of a shelving, a correction that came as an event."""

REMOVED = "removed:"
"""Cursors of this name and a kind's number say how many alerts of it retention has removed."""

# kinds      the words that many alerts share, and how many alerts there are of each.
# facts      what the engine says. `change` moves an alert to the end of the stream whenever anything about it changes,
#            `raised` only when it wants attention again: born, reopened, back from the shelf. Both come from one
#            ascending series and are given out inside the write lock, so that a reader who kept the highest number
#            it saw misses nothing. `n` counts births: with `notified`, decided at birth, it is the outbox.
# actions    what people do, append-only. states: where that leaves each alert that somebody touched.
# evidence   which alerts rest on an event; filled when the first correction asks (`evidence` in cursors).
_TABLES = """
CREATE TABLE kinds (
  kind INTEGER PRIMARY KEY, rule TEXT NOT NULL, rule_id TEXT NOT NULL, rule_version TEXT NOT NULL,
  title TEXT NOT NULL, level TEXT NOT NULL, status TEXT NOT NULL, alerts INTEGER NOT NULL,
  UNIQUE (rule, rule_id, rule_version, title, level, status)
);
CREATE TABLE facts (
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, "group" TEXT, first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL, "count" INTEGER NOT NULL, late INTEGER, lat REAL, lon REAL, address TEXT, reason TEXT,
  "values" TEXT, evidence TEXT, inconclusive INTEGER, silent INTEGER, notified INTEGER NOT NULL,
  change INTEGER NOT NULL, raised INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX facts_first_seen ON facts (first_seen);
CREATE INDEX facts_change ON facts (change);
CREATE INDEX facts_raised ON facts (raised);
CREATE INDEX facts_kind ON facts (kind, raised);
CREATE INDEX facts_outbox ON facts (notified) WHERE notified;
CREATE TABLE actions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, fact INTEGER NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL,
  channel TEXT NOT NULL, at INTEGER NOT NULL, note TEXT, outcome TEXT, assignee TEXT, until INTEGER, code INTEGER,
  correction_source TEXT, correction_id TEXT, data TEXT, undoes INTEGER, before TEXT, state TEXT NOT NULL
);
CREATE INDEX actions_fact ON actions (fact, seq);
CREATE TABLE states (
  fact INTEGER PRIMARY KEY, state TEXT NOT NULL, outcome TEXT, assignee TEXT, until INTEGER, version INTEGER NOT NULL,
  closed_count INTEGER, reopened INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX states_state ON states (state, until);
CREATE TABLE corrections (
  source TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, corrects_source TEXT NOT NULL,
  corrects_id TEXT NOT NULL, violation_code INTEGER, undoes TEXT, PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX corrections_event ON corrections (corrects_source, corrects_id);
CREATE TABLE evidence (
  source TEXT NOT NULL, id TEXT NOT NULL, fact INTEGER NOT NULL, PRIMARY KEY (source, id, fact)
) WITHOUT ROWID;
CREATE TABLE inbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE rejected (
  id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, line INTEGER, reason TEXT NOT NULL, raw BLOB NOT NULL,
  mapping TEXT, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, "count" INTEGER NOT NULL,
  size INTEGER NOT NULL, replayed_at INTEGER
);
CREATE TABLE status (key TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, alert TEXT,
  purpose TEXT
);
"""

# deliveries who is to be told of which alert: one row each, made once, whatever happens afterwards. `held`: it came in
#            quiet hours. `message`: what it was put into, alone or with others; that is fixed before it is sent, so
#            that a repeated message is the same one.
# messages   what is sent, with its tries. targets: how the receivers stand; `until` is when to try again.
_DELIVERIES = """
CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY, fact INTEGER NOT NULL, target TEXT NOT NULL, route TEXT NOT NULL, urgent INTEGER NOT NULL,
  held INTEGER NOT NULL, due INTEGER NOT NULL, message INTEGER, UNIQUE (fact, target)
);
CREATE INDEX deliveries_waiting ON deliveries (target, urgent, due) WHERE message IS NULL;
CREATE INDEX deliveries_message ON deliveries (message) WHERE message IS NOT NULL;
CREATE TABLE messages (
  message INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL,
  urgent INTEGER NOT NULL, alerts INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
  due INTEGER NOT NULL, made INTEGER NOT NULL, at INTEGER NOT NULL, error TEXT
);
CREATE INDEX messages_target ON messages (target, state, at);
CREATE TABLE targets (
  target TEXT PRIMARY KEY, failures INTEGER NOT NULL, until INTEGER NOT NULL, refused INTEGER NOT NULL, error TEXT,
  at INTEGER NOT NULL, sent INTEGER NOT NULL, told INTEGER NOT NULL, failed INTEGER NOT NULL, given_up INTEGER NOT NULL
) WITHOUT ROWID;
"""

# audit_subjects which vehicles and persons each read of the audit log showed, as hashes with the key in secrets.
_AUDIT_SUBJECTS = """
CREATE TABLE audit_subjects (digest BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (digest, seq)) WITHOUT ROWID;
CREATE INDEX audit_subjects_seq ON audit_subjects (seq);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO secrets VALUES ('audit', randomblob(32));
"""

# violations what devices reported with a plate. `code` is theirs, `final` that after corrections; `summons` the number
#            of the ticket that one was issued for. proposals: see there; `version` is a hash of what a person saw.
# decisions  what people said, append-only. batches: tickets that are exported together; `done` when that is finished.
_TICKETS = """
CREATE TABLE violations (
  source TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, plate TEXT NOT NULL, plate_state TEXT, code INTEGER,
  details TEXT NOT NULL, final INTEGER, proposal TEXT, summons INTEGER, PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX violations_offence ON violations (plate, final, time);
CREATE INDEX violations_proposal ON violations (proposal);
CREATE TABLE proposals (
  id TEXT PRIMARY KEY, plate TEXT NOT NULL, plate_state TEXT, code INTEGER NOT NULL, source TEXT NOT NULL,
  event TEXT NOT NULL, time INTEGER NOT NULL, last INTEGER NOT NULL, sightings INTEGER NOT NULL, details TEXT NOT NULL,
  state TEXT NOT NULL, version TEXT NOT NULL, decided_by TEXT, decided_at INTEGER, reason TEXT, batch INTEGER,
  summons INTEGER UNIQUE, made_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX proposals_offence ON proposals (plate, code);
CREATE INDEX proposals_time ON proposals (time, id);
CREATE INDEX proposals_state ON proposals (state, batch, time);
CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, proposal TEXT NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL,
  channel TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT
);
CREATE INDEX decisions_proposal ON decisions (proposal, seq);
CREATE TABLE batches (
  batch INTEGER PRIMARY KEY, at INTEGER NOT NULL, "by" TEXT NOT NULL, file TEXT NOT NULL, done INTEGER NOT NULL
);
"""

_ATTEMPTS = 500

_ADDED = {2: _DELIVERIES, 3: _AUDIT_SUBJECTS, 4: _TICKETS}
"""Version -> the tables that came with it; a file of an older version gets them when it is opened."""


def now_us() -> int:
    """The present in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class Database:
    """Connection and transactions; the parts of the desk build on it."""

    def __init__(self, path: Path, *, live: int = DAY, create: bool = True) -> None:
        self.path = path
        self.live = live
        if not create and not path.exists():
            raise StoreError(f"{path.parent} holds no citywatch data", hint="name the data directory with --data DIR")
        with _as_store_errors(path):
            self._con = self._connect()
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
                    for statement in filter(str.strip, {1: _TABLES, **_ADDED}[wanted].split(";")):
                        con.execute(statement)
                    con.execute(f"PRAGMA user_version={wanted}")
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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; takes the write lock at its start, so that what was read in it stays true."""
        with _as_store_errors(self.path):
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield self._con
                self._con.execute("COMMIT")
            except BaseException:
                if self._con.in_transaction:
                    self._con.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for a long read: what others write meanwhile is not seen, and does not wait."""
        with _as_store_errors(self.path):
            con = self._connect()
            try:
                yield con
            finally:
                con.close()

    def close(self) -> None:
        """Close the connection; the last one of all folds the write-ahead log into the file."""
        self._con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def seen(self) -> int:
        """A number that changes whenever somebody else has written; asking costs microseconds."""
        return int(self._con.execute("PRAGMA data_version").fetchone()[0])

    def cursor(self, name: str) -> int:
        """Where the reader of that name stands; 0 at first."""
        row = self._con.execute("SELECT value FROM cursors WHERE name = ?", [name]).fetchone()
        return int(row[0]) if row else 0

    def has_cursor(self, name: str) -> bool:
        """Whether the reader of that name has been here before."""
        return self._con.execute("SELECT 1 FROM cursors WHERE name = ?", [name]).fetchone() is not None

    def move_cursor(self, name: str, value: int) -> None:
        """Remember that the reader of that name has everything up to `value`."""
        with self.transaction() as con:
            set_cursor(con, name, value)


def set_cursor(con: sqlite3.Connection, name: str, value: int) -> None:
    """Write a cursor inside the caller's transaction."""
    con.execute(
        "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", [name, value]
    )


def last_change(con: sqlite3.Connection) -> int:
    """The highest number given out so far in the series of `change` and `raised`."""
    return int(con.execute("SELECT coalesce(max(change), 0) FROM facts").fetchone()[0])


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
