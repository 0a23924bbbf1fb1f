"""Files on HDFS: one, those that fit a pattern, or all below a directory, each read whole and once.

What jobs write beside their data (`_SUCCESS`, `_temporary`, hidden files) is passed over, as Hadoop does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from citywatch.connections.hdfs import Address, Hdfs, parse
from citywatch.errors import SourceError
from citywatch.records.chunk import Chunk
from citywatch.sources.content import Kind, chunks_of, kind_of, sniffed
from citywatch.sources.model import Bounded, Options, Source
from citywatch.sources.parquet import parquet_chunks
from citywatch.sources.streams import Blocks

if TYPE_CHECKING:
    from hdfs_native import FileStatus

_GLOB = frozenset("*?[{")
_PACKED = (".snappy", ".lz4", ".zst", ".bz2", ".deflate")


def open_hdfs(text: str, options: Options) -> list[Source]:
    """Sources of `hdfs://namenode:8020/path`, in order of path. Raises UsageError, SourceError."""
    address = parse(text)
    hdfs = Hdfs(address.cluster, lambda what, hint: SourceError(what, hint=hint))
    files = [status for status in _found(hdfs, address) if status.length and not _aside(status.path, address.path)]
    if not files:
        raise SourceError(f"no file with content is at {text}", hint=f"see hdfs dfs -ls -R {address}")
    return [_source(hdfs, status, options) for status in files]


def _found(hdfs: Hdfs, address: Address) -> list[FileStatus]:
    if (status := hdfs.status(address.path)) is not None:
        return hdfs.files(address.path) if status.isdir else [status]
    if not _GLOB & set(address.path):
        raise SourceError(f"nothing is at {address}", hint="check the path")
    fits = hdfs.tried(f"look for {address.path}", lambda: hdfs.client.glob_status(address.path))
    files = [file for found in fits for file in (hdfs.files(found.path) if found.isdir else [found])]
    return sorted(files, key=lambda file: file.path)


def _aside(path: str, root: str) -> bool:
    """Whether a file, or a directory that it is in, is no data by its name."""
    below = PurePosixPath(path).parts[len(PurePosixPath(root).parts) - 1 :]
    return any(name.startswith(("_", ".")) for name in below)


def _source(hdfs: Hdfs, status: FileStatus, options: Options) -> Source:
    name = f"{hdfs.cluster}{status.path}"
    if status.path.endswith(_PACKED):
        raise SourceError(f"{name} is packed in a way that is not read here", hint="unpack it, or pack it as .gz")
    return HdfsSource(options.origin(name, status.modification_time * 1000), hdfs, status.path)


@dataclass(frozen=True, slots=True)
class HdfsSource(Bounded):
    """One file on HDFS."""

    hdfs: Hdfs
    path: str

    def chunks(self) -> Iterator[Chunk]:
        """Raw records of the file in order. Raises SourceError when nothing of it can be read, or HDFS goes away."""
        kind = kind_of(Path(self.path))
        if kind is Kind.PARQUET:
            yield from parquet_chunks(self.hdfs.open(self.path), self.origin)
            return
        blocks = Blocks(self.hdfs.blocks(self.path), self.name)
        yield from chunks_of(blocks, kind or sniffed(blocks.head), self.origin)
