"""Files of an archive in a directory, of this machine or of a file system that several share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from citywatch.errors import StoreError, UsageError
from citywatch.stores.archive.files import FILE, Entry, Sink
from citywatch.stores.durable import not_written, sync_directory

if TYPE_CHECKING:
    import duckdb


def local_path(address: str) -> str:
    """The absolute path behind `file:///path` or a path. Raises UsageError."""
    if address in ("", FILE):
        raise UsageError(f"{address!r} names no directory", hint="write file:///directory, or a directory")
    path = Path(unquote(address.removeprefix(FILE))) if address.startswith(FILE) else Path(address)
    return str(path.absolute()).rstrip("/")


def open_files(address: str) -> tuple[OnDisk, str]:
    """The files behind `file:///path` or a path, and the path. Raises UsageError."""
    return OnDisk(), local_path(address)


class OnDisk:
    """As `Files` says."""

    place = ""

    def below(self, directory: str) -> list[Entry]:
        """As `Files` says."""
        top = Path(directory)
        if not top.is_dir():
            raise FileNotFoundError(directory)
        found = []
        for path in sorted(top.rglob("*")):
            try:
                if path.is_file():
                    found.append(Entry(str(path), path.stat().st_mtime))
            except FileNotFoundError:
                continue  # another job has just removed it
        return found

    def open(self, path: str) -> IO[bytes]:
        """As `Files` says."""
        try:
            return Path(path).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}", hint="may you read it? see `ls -l`") from error

    def read(self, path: str) -> bytes:
        """As `Files` says."""
        with self.open(path) as file:
            return file.read()

    def create(self, path: str) -> Sink:
        """As `Files` says."""
        target = Path(path)
        try:
            _make(target.parent)
            return _Sink(target)
        except OSError as error:
            raise not_written(target, error) from error

    def rename(self, path: str, to: str) -> None:
        """As `Files` says."""
        target = Path(to)
        try:
            target.hardlink_to(path)  # a rename would replace what another job has put there
            Path(path).unlink()
            sync_directory(target.parent)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            raise not_written(target, error) from error

    def remove(self, path: str) -> None:
        """As `Files` says."""
        Path(path).unlink(missing_ok=True)

    def attach(self, con: duckdb.DuckDBPyConnection) -> None:
        """DuckDB reads them as it is."""


def _make(directory: Path) -> None:
    """Make a directory and those above it, for their owner alone; their names are on the disk."""
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    sync_directory(directory.parent)


class _Sink:
    """A file that is being written."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._path = path
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(handle, "wb")

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            raise not_written(self._path, error) from error

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self.closed = True
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sync_directory(self._path.parent)
        except OSError as error:
            raise not_written(self._path, error) from error
