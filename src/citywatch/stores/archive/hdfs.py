"""Files of an archive on HDFS."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from citywatch.connections.hdfs import Hdfs, parse
from citywatch.errors import StoreError
from citywatch.stores.archive.files import Entry, Sink

if TYPE_CHECKING:
    import duckdb
    from hdfs_native import FileWriter


def open_files(address: str) -> tuple[OnHdfs, str]:
    """The files behind `hdfs://namenode:8020/path`, and the path. Raises UsageError."""
    found = parse(address)
    return OnHdfs(found.cluster), found.path.rstrip("/")


class OnHdfs:
    """As `Files` says. `hdfs` is the cluster."""

    def __init__(self, cluster: str) -> None:
        self.hdfs = Hdfs(cluster, lambda what, hint: StoreError(what, hint=hint))

    @property
    def place(self) -> str:
        """The cluster."""
        return self.hdfs.cluster

    def below(self, directory: str) -> list[Entry]:
        """As `Files` says."""
        return [Entry(status.path, status.modification_time / 1000) for status in self.hdfs.files(directory)]

    def open(self, path: str) -> IO[bytes]:
        """As `Files` says."""
        return self.hdfs.open(path)

    def read(self, path: str) -> bytes:
        """As `Files` says."""
        return self.hdfs.read(path)

    def create(self, path: str) -> Sink:
        """As `Files` says."""
        from hdfs_native import WriteOptions  # noqa: PLC0415 - an extra that few need

        parent, client = path.rpartition("/")[0], self.hdfs.client
        self.hdfs.tried(f"make {parent}", lambda: client.mkdirs(parent, 0o700, True))
        options = WriteOptions(overwrite=True)
        return _Sink(self.hdfs, path, self.hdfs.tried(f"make {path}", lambda: client.create(path, options)))

    def rename(self, path: str, to: str) -> None:
        """As `Files` says."""
        self.hdfs.tried(f"rename {path}", lambda: self.hdfs.client.rename(path, to))

    def remove(self, path: str) -> None:
        """As `Files` says."""
        self.hdfs.tried(f"remove {path}", lambda: self.hdfs.client.delete(path))

    def attach(self, con: duckdb.DuckDBPyConnection) -> None:
        """As `Files` says."""
        con.register_filesystem(self.hdfs.filesystem())


class _Sink:
    """A file on HDFS that is being written."""

    closed = False

    def __init__(self, hdfs: Hdfs, path: str, writer: FileWriter) -> None:
        self._hdfs, self._path, self._writer = hdfs, path, writer
        self._size = 0

    def write(self, content: bytes) -> int:
        try:
            written = self._writer.write(content)
        except (OSError, RuntimeError) as error:
            raise self._hdfs.failed(f"write {self._path}", error) from error
        self._size += written
        return written

    def tell(self) -> int:
        return self._size

    def close(self) -> None:
        self.closed = True
        try:
            self._writer.hsync()
            self._writer.close()
        except (OSError, RuntimeError) as error:
            raise self._hdfs.failed(f"write {self._path}", error) from error
