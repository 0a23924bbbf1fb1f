"""Bytes of a file in blocks: unpacked when they are gzip, without a byte order mark, until the first fault."""

from __future__ import annotations

import os
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from citywatch.errors import SourceError

BLOCK = 8 << 20
"""Bytes read at once, and given at most at once of what is unpacked."""

_GZIP = b"\x1f\x8b"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Blocks:
    """Blocks of bytes, once; afterwards `fault` says why the end was not reached, if it was not.

    `head`, the first of them, holds the first line, however small the pieces are in which a pipe gives it. Raises
    SourceError when not even the beginning can be read. `unpack`: gzip is unpacked, however large it becomes.
    """

    def __init__(self, raw: Iterator[bytes], name: str, *, unpack: bool = True) -> None:
        self.fault: str | None = None
        first = _beginning(raw, least=len(_GZIP))
        plain = self._plain(first, raw)
        self._blocks = self._unpacked(plain) if unpack and first.startswith(_GZIP) else plain
        self.head = _beginning(self._blocks, mark=b"\n").removeprefix(BOM_UTF8)
        if self.head.startswith(_OTHER_MARKS):
            raise SourceError(f"{name} is UTF-16, wanted is UTF-8", hint=f"iconv -f UTF-16 -t UTF-8 {name}")

    def __iter__(self) -> Iterator[bytes]:
        if self.head:
            yield self.head
        yield from self._blocks

    def _plain(self, first: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        yield first
        try:
            yield from raw
        except OSError as error:
            self.fault = f"cannot be read further: {error.strerror}"

    def _unpacked(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """What is packed in one gzip member or in several."""
        member, begun = zlib.decompressobj(wbits=31), False
        try:
            for block in blocks:
                packed = block
                while packed:
                    begun = True
                    if out := member.decompress(packed, BLOCK):
                        yield out
                    packed = member.unconsumed_tail
                    if member.eof:
                        packed = member.unused_data.lstrip(b"\0")
                        member, begun = zlib.decompressobj(wbits=31), False
            if begun:
                yield member.flush()
                self.fault = self.fault or "gzip ends too early here"
        except zlib.error as error:
            self.fault = f"gzip is damaged here: {error}"


def _beginning(blocks: Iterator[bytes], *, least: int = 1, mark: bytes = b"") -> bytes:
    """The first of the blocks, put together until they have `least` bytes and `mark`, but not without end."""
    parts = [next(blocks, b"")]
    size = len(parts[0])
    while parts[-1] and size < BLOCK and (size < least or mark not in parts[-1]):
        parts.append(next(blocks, b""))
        size += len(parts[-1])
    return b"".join(parts)


def open_blocks(path: Path | None) -> Blocks:
    """Blocks of a file, or of standard input. Raises SourceError when it cannot be opened."""
    if path is None:
        return Blocks(_read(sys.stdin.fileno()), "-")
    try:
        return Blocks(_file(path), str(path))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint=f"see ls -l {path}") from error


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        yield from _read(file.fileno())


def _read(descriptor: int) -> Iterator[bytes]:
    while block := os.read(descriptor, BLOCK):
        yield block
