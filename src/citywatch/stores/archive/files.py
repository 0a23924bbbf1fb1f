"""What an archive needs of the place where its files are."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from citywatch.stores import open_store

if TYPE_CHECKING:
    import duckdb

FILE = "file://"


class Entry(NamedTuple):
    """A file: its path, and when it was last changed (Unix seconds)."""

    path: str
    changed: float


class Sink(Protocol):
    """A file that is being written."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be appended any more."""

    def write(self, content: bytes) -> int:
        """Append."""

    def tell(self) -> int:
        """Bytes so far."""

    def close(self) -> None:
        """All of it is on the disks when this returns; until then it is nothing that counts."""


class Files(Protocol):
    """Paths begin with /. What fails raises StoreError; FileNotFoundError and FileExistsError are answers."""

    @property
    def place(self) -> str:
        """What stands before a path to make it the address of a file."""

    def below(self, directory: str) -> list[Entry]:
        """All files below a directory, by path."""

    def open(self, path: str) -> IO[bytes]:
        """A file to read from any place."""

    def read(self, path: str) -> bytes:
        """Content of a small file."""

    def create(self, path: str) -> Sink:
        """A new file; its directory is made for its owner alone: plates and persons are in it."""

    def rename(self, path: str, to: str) -> None:
        """Give a file another name, which nobody else has."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""

    def attach(self, con: duckdb.DuckDBPyConnection) -> None:
        """Let DuckDB read addresses of files."""


def files_at(address: str) -> tuple[Files, str]:
    """The files behind `hdfs://namenode:8020/path`, `file:///path` or a path, and the path. Raises UsageError."""
    found: tuple[Files, str] = open_store("archive", address)
    return found
