"""Lines of a file, plain or gzip, with the place where each ends: memory does not depend on the size of the file."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO, Iterator, NamedTuple

from .problems import SendError

BLOCK = 256 << 10
LONGEST = 4 << 20
"""Bytes of the longest line that is sent."""
KEPT = 64 << 10
"""Bytes that are kept of a longer one."""
GZIP = b"\x1f\x8b"


class Line(NamedTuple):
    """A line as it stands in the file, with its line end; of one that is too long, the beginning.

    `end` is the byte behind it, of the unpacked text. `fault` says why it can be no record, if it cannot.
    """

    number: int
    end: int
    raw: bytes
    fault: str = ""


class Source:
    """A file as it is now: what is appended later belongs to the next call.

    Attributes
    ----------
    size, modified
        Bytes on the disk, and nanoseconds since 1970.
    position
        Bytes on the disk that were read.
    fault
        Set while lines are read: why the end of the text was not reached.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                self.head = file.read(min(KEPT, status.st_size))
        except OSError as error:
            raise SendError(f"cannot read {path}: {error.strerror}", "check the path") from error
        self.size = status.st_size
        self.modified = status.st_mtime_ns
        self.packed = self.head.startswith(GZIP)
        self.position = 0
        self.fault = ""

    def has_grown(self) -> bool:
        """Whether something was appended to the file, for all one can tell without reading it again."""
        return not self.packed and self.path.exists() and self.path.stat().st_size > self.size

    def has_changed(self) -> bool:
        """Whether the file on the disk is another one now."""
        try:
            status = self.path.stat()
        except OSError:
            return True
        return (status.st_size, status.st_mtime_ns) != (self.size, self.modified)

    def beginning(self) -> bytes:
        """The first bytes of the text."""
        return next(self.blocks(0), b"")

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The text from byte `offset` on, in blocks."""
        with self.path.open("rb") as file:
            if not self.packed:
                file.seek(offset)
                for block in self._read(file, self.size - offset):
                    yield block
                return
            for block in self._unpacked(self._read(file, self.size)):
                if offset < len(block):
                    yield block[offset:]
                offset = max(0, offset - len(block))

    def lines(self, offset: int = 0, number: int = 0) -> Iterator[Line]:
        """Lines behind byte `offset` of the text, where line `number` ends."""
        cutter = _Cutter(offset, number)
        for block in self.blocks(offset):
            for line in cutter.feed(block):
                yield line
        for line in cutter.rest(self.fault):
            yield line

    def _read(self, file: BinaryIO, left: int) -> Iterator[bytes]:
        while left > 0:
            block = file.read(min(BLOCK, left))
            if not block:
                self.fault = "the file became shorter while it was read"
                return
            left -= len(block)
            self.position = file.tell()
            yield block

    def _unpacked(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Text of one gzip member or of several; sets `fault` where it is damaged."""
        member, begun = zlib.decompressobj(wbits=31), False
        try:
            for block in blocks:
                packed = block
                while packed:
                    begun = True
                    text = member.decompress(packed, BLOCK)
                    packed = member.unconsumed_tail
                    if member.eof:
                        packed = member.unused_data.lstrip(b"\0")
                        member, begun = zlib.decompressobj(wbits=31), False
                    if text:
                        yield text
            if begun:
                self.fault = "gzip ends too early here"
        except zlib.error as error:
            self.fault = f"gzip is damaged here: {error}"


class _Cutter:
    """Cuts blocks into lines; of a line that is too long only the beginning is held."""

    def __init__(self, end: int, number: int) -> None:
        self._end = end
        self._number = number
        self._held = b""
        self._size = 0

    def feed(self, block: bytes) -> Iterator[Line]:
        begin = 0
        while True:
            at = block.find(b"\n", begin) + 1
            if not at:
                self._hold(block[begin:])
                return
            self._hold(block[begin:at])
            yield self._line("")
            begin = at

    def rest(self, fault: str) -> Iterator[Line]:
        """What stands behind the last line end; for `fault`, if there is one, it is not the whole line."""
        if self._size:
            yield self._line(fault)

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= LONGEST:
            self._held = self._held + part if self._held else part
        elif len(self._held) != KEPT:
            self._held = (self._held + part)[:KEPT]

    def _line(self, fault: str) -> Line:
        if self._size > LONGEST:
            fault = f"longer than {LONGEST:,} bytes: {self._size:,}; the first {KEPT:,} are kept"
        self._end += self._size
        self._number += 1
        line = Line(self._number, self._end, self._held, fault)
        self._held, self._size = b"", 0
        return line
