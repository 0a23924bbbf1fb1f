"""What the desk's parts ask of a connection to its database: SQLite's own has it, that to PostgreSQL is made to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Params = Sequence[Any] | Mapping[str, Any]


class Row(Protocol):
    """One row: its values in order, and each by the name of its column."""

    def __getitem__(self, place: Any, /) -> Any:
        """The value at that place, or of that column."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Sequence[str]:
        """Names of the columns."""
        ...


class Rows(Protocol):
    """What a statement answers."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        ...

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """So many of them."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Statements in the SQL of SQLite, with `?` or `:name` where values go."""

    def execute(self, sql: str, parameters: Params = ..., /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Rows:
        """Run one statement for each of many rows of values."""
        ...
