"""HDFS: `hdfs://namenode:8020/path`, through a client without a JVM.

The client reads `core-site.xml` and `hdfs-site.xml` of `HADOOP_CONF_DIR`, so that the name of a cluster of several
NameNodes, Kerberos and encryption are as they are set there. Without Kerberos it acts as `HADOOP_USER_NAME`.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from citywatch.errors import CitywatchError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from hdfs_native import Client, FileReader, FileStatus
    from hdfs_native.fsspec import HdfsFileSystem

SCHEME = "hdfs://"
PATIENCE_S = 60.0
"""So long a read or write is tried again while the cluster does not answer."""

_EXAMPLE = "write hdfs://namenode:8020/path, or hdfs:///path with HADOOP_CONF_DIR set"
_BLOCK = 8 << 20
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Address:
    """`cluster` is `hdfs://host:port`, or `hdfs://` for the one that HADOOP_CONF_DIR names; `path` begins with /."""

    cluster: str
    path: str

    def __str__(self) -> str:
        return f"{self.cluster}{self.path}"

    def __truediv__(self, name: str) -> Address:
        return Address(self.cluster, f"{self.path.rstrip('/')}/{name}")


def parse(text: str) -> Address:
    """The address behind `hdfs://…`. Raises UsageError."""
    place = text.removeprefix(SCHEME)
    authority, separator, path = place.partition("/")
    try:
        urlsplit(f"//{authority}").port  # noqa: B018 - asked for its error
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=_EXAMPLE) from error
    if not separator or "@" in authority:
        what = "names no path" if not separator else "names a user; set HADOOP_USER_NAME instead"
        raise UsageError(f"{text!r} {what}", hint=_EXAMPLE)
    return Address(f"{SCHEME}{authority}", f"/{path.strip('/')}")


class Hdfs:
    """One cluster; what fails for a moment is tried again for `patience` seconds (None: `PATIENCE_S`).

    Parameters
    ----------
    failed
        Makes the error to raise of (what, hint): a SourceError for those who read, a StoreError for those who write.
    """

    def __init__(
        self, cluster: str, failed: Callable[[str, str], CitywatchError], *, patience: float | None = None
    ) -> None:
        _require()
        from hdfs_native import Client  # noqa: PLC0415 - an extra that few need

        self.cluster = cluster
        self._failed = failed
        self._patience = PATIENCE_S if patience is None else patience
        try:
            self.client: Client = Client(cluster if cluster != SCHEME else None, _attempts(cluster, self._patience))
        except (OSError, ValueError, RuntimeError) as error:
            raise failed(f"cannot speak to {cluster}: {said(error)}", _EXAMPLE) from error

    def filesystem(self) -> HdfsFileSystem:
        """The same cluster for DuckDB, which speaks fsspec and reads a file from several threads."""
        from hdfs_native.fsspec import HdfsFileSystem  # noqa: PLC0415 - as above

        opened = self.open

        class ReadOnly(HdfsFileSystem):
            cachable = False

            def _open(self, path: str, *_: object, **__: object) -> IO[bytes]:
                return opened(self._strip_protocol(path))

        parts = urlsplit(self.cluster)
        made = ReadOnly(parts.hostname, parts.port)
        made.client = self.client  # which waits for a NameNode as long as we do
        return made

    def open(self, path: str) -> IO[bytes]:
        """A file to read from any place, by several threads. Raises FileNotFoundError."""
        reader = self.tried(f"open {path}", lambda: self.client.read(path))
        return cast(IO[bytes], _Ranges(self, path, reader))

    def tried(self, what: str, call: Callable[[], Answer]) -> Answer:
        """The answer of `call`, which may be repeated. FileNotFoundError and FileExistsError are answers, too."""
        deadline = time.monotonic() + self._patience
        for attempt in range(1_000_000):
            try:
                return call()
            except (FileNotFoundError, FileExistsError):
                raise
            except (OSError, RuntimeError) as error:
                if _final(error) or time.monotonic() > deadline:
                    raise self.failed(what, error) from error
                time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
        raise AssertionError

    def failed(self, what: str, error: Exception) -> CitywatchError:
        """The error to raise when something could not be done."""
        hint = "may this user read and write there? It acts as HADOOP_USER_NAME"
        hint = hint if _final(error) else "is the cluster up, and has it live DataNodes? Try again when it is"
        return self._failed(f"{self.cluster}: cannot {what}: {said(error)}", hint)

    def status(self, path: str) -> FileStatus | None:
        """What is at a path; None when nothing is."""
        try:
            return self.tried(f"look at {path}", lambda: self.client.get_file_info(path))
        except FileNotFoundError:
            return None

    def files(self, path: str) -> list[FileStatus]:
        """All files below a directory, by path."""
        found = self.tried(f"list {path}", lambda: list(self.client.list_status(path, True)))
        return sorted((status for status in found if not status.isdir), key=lambda status: status.path)

    def blocks(self, path: str) -> Iterator[bytes]:
        """Content of a file, in blocks of 8 MiB."""
        reader = self.tried(f"open {path}", lambda: self.client.read(path))
        at, length = 0, len(reader)
        while at < length:
            block = self.tried(f"read {path}", partial(reader.read_range, at, min(_BLOCK, length - at)))
            at += len(block)
            yield block

    def read(self, path: str) -> bytes:
        """Content of a small file. Raises FileNotFoundError."""
        return b"".join(self.blocks(path))


class _Ranges(io.RawIOBase):
    """A file of which each thread has a place of its own: who seeks and then reads gets what he sought."""

    def __init__(self, hdfs: Hdfs, path: str, reader: FileReader) -> None:
        self._hdfs, self._path, self._reader = hdfs, path, reader
        self._place = threading.local()
        self.size = len(reader)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        self._place.at = max(begin + offset, 0)
        return self.tell()

    def tell(self) -> int:
        return int(getattr(self._place, "at", 0))

    def read(self, size: int | None = -1) -> bytes:
        at = self.tell()
        left = max(self.size - at, 0)
        length = left if size is None or size < 0 else min(size, left)
        if not length:
            return b""
        found = self._hdfs.tried(f"read {self._path}", lambda: self._reader.read_range(at, length))
        self._place.at = at + len(found)
        return found

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def _attempts(cluster: str, patience: float) -> dict[str, str] | None:
    """How often the client itself tries a NameNode, about once a second; None: as HADOOP_CONF_DIR says for its cluster.

    Left to itself it tries one that is away for three minutes.
    """
    if urlsplit(cluster).port is None:
        return None
    attempts = str(round(patience / 2))  # so that what is tried again lasts for `patience`, and not for twice as long
    return {"dfs.client.failover.max.attempts": attempts, "dfs.client.failover.sleep.max.millis": "1000"}


def said(error: BaseException) -> str:
    """What a server said, without its stack."""
    return str(error).split("\n", 1)[0].strip() or repr(error)


def _final(error: BaseException) -> bool:
    return isinstance(error, PermissionError) or "denied" in said(error).lower()


def _require() -> None:
    import importlib.util  # noqa: PLC0415 - only for those who come here

    if missing := [name for name in ("fsspec", "hdfs_native") if importlib.util.find_spec(name) is None]:
        raise MissingPackageError(
            f"HDFS needs {' and '.join(missing)}", hint="install them with `pip install 'citywatch[hdfs]'`"
        )
