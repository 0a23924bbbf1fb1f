"""Records that are too long to be read: kept all the same, on disk instead of in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable

import pyarrow as pa

from citywatch.errors import DiskFullError
from citywatch.records.chunk import faults_schema

LARGEST = 1 << 30
"""Bytes that are kept of one record; of a longer one this is the beginning."""


class Oversize:
    """One record, put aside part by part in a file that has no name: nothing is left of it after a crash."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.size = 0
        self._file = tempfile.TemporaryFile(prefix="citywatch-")  # noqa: SIM115 - closed when its content is taken
        for part in parts:
            self.write(part)

    def write(self, part: bytes) -> None:
        """Add what follows. Raises DiskFullError."""
        room = max(LARGEST - self.size, 0)
        self.size += len(part)
        try:
            self._file.write(part[:room])
        except OSError as error:
            hint = "free some space there, or let TMPDIR name a directory with more, and read the file again"
            place = tempfile.gettempdir()
            raise DiskFullError(f"a long record cannot be put aside in {place}: {error.strerror}", hint=hint) from error

    def content(self) -> pa.Buffer:
        """What was kept, without the line end: mapped from the disk, so that it takes no memory until it is read."""
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file.close()
        end = len(mapped)
        while end and mapped[end - 1] in b"\r\n":
            end -= 1
        return pa.py_buffer(mapped).slice(0, end)


def too_long(line: int, size: int, longest: int, content: pa.Buffer) -> pa.Table:
    """The fault, as `faults_schema()`, of a record of `size` bytes."""
    kept = "" if size <= LARGEST else f"; the first {LARGEST:,} are kept"
    return fault(line, f"longer than {longest:,} bytes: {size:,}{kept}", content)


def fault(line: int, reason: str, content: pa.Buffer) -> pa.Table:
    """One fault; its content is not copied."""
    offsets = pa.array([0, content.size], pa.int32()).buffers()[1]
    raw = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, content])
    return pa.table([pa.array([line]), pa.array([reason]), raw], schema=faults_schema())
