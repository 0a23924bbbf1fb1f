"""What every desk has: transactions, and cursors that say where a reader stands."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from citywatch.stores.desk.connection import Connection

ENGINE = "citywatch"
"""Who acts when nobody does: reopening, the end of a shelving, a correction that came as an event."""

REMOVED = "removed:"
"""Cursors of this name and a kind's number say how many alerts of it retention has removed."""


def now_us() -> int:
    """The present in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class Database(ABC):
    """Connection and transactions; the parts of the desk build on it."""

    live: int
    """An alert is notified only when it was first seen within so many microseconds of now."""

    aside: Path | None
    """Directory for records that are too large for the tables; None: the tables take them."""

    _con: Connection

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]:
        """All or nothing; takes the write lock at its start, so that what was read in it stays true."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection of its own for a long read: what others write meanwhile is not seen, and does not wait."""

    @abstractmethod
    def close(self) -> None:
        """Be done with the connection."""

    @abstractmethod
    def seen(self) -> int:
        """A number that changes whenever somebody else has written; asking costs little."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cursor(self, name: str) -> int:
        """Where the reader of that name stands; 0 at first."""
        row = self._con.execute("SELECT value FROM cursors WHERE name = ?", [name]).fetchone()
        return int(row[0]) if row else 0

    def has_cursor(self, name: str) -> bool:
        """Whether the reader of that name has been here before."""
        return self._con.execute("SELECT 1 FROM cursors WHERE name = ?", [name]).fetchone() is not None

    def move_cursor(self, name: str, value: int) -> None:
        """Remember that the reader of that name has everything up to `value`."""
        self.move_cursors({name: value})

    def move_cursors(self, cursors: Mapping[str, int]) -> None:
        """As `move_cursor` for several at once."""
        with self.transaction() as con:
            for name, value in cursors.items():
                set_cursor(con, name, value)


def set_cursor(con: Connection, name: str, value: int) -> None:
    """Write a cursor inside the caller's transaction."""
    con.execute(
        "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", [name, value]
    )


def last_change(con: Connection) -> int:
    """The highest number given out so far in the series of `change` and `raised`."""
    return int(con.execute("SELECT coalesce(max(change), 0) FROM facts").fetchone()[0])
