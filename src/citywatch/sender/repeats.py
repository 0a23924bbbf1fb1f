"""Which records stand in a file more than once: exact, in constant memory, by sorting on the disk.

A record without an id of its own gets one from its content and its ordinal among identical records of its file. Who
gets a file in batches cannot count them; the sender, which has the file, can.
"""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from typing import BinaryIO, Iterable, Iterator

from .records import Record

_SIZE = 16
_IN_MEMORY = 100_000
_READ_AT_ONCE = 512 * _SIZE


class _Sorter:
    """Entries of 16 bytes in order of their bytes, whatever their number."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._runs: list[tuple[int, int]] = []
        self._held: list[bytes] = []

    def add(self, entry: bytes) -> None:
        self._held.append(entry)
        if len(self._held) >= _IN_MEMORY:
            self._flush()

    def entries(self) -> Iterator[bytes]:
        if not self._runs:
            return iter(sorted(self._held))
        self._flush()
        return heapq.merge(*(self._run(begin, end) for begin, end in self._runs))

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        begin = self._file.seek(0, 2)
        self._file.write(b"".join(sorted(self._held)))
        self._runs.append((begin, self._file.tell()))
        self._held = []

    def _run(self, begin: int, end: int) -> Iterator[bytes]:
        for at in range(begin, end, _READ_AT_ONCE):
            self._file.seek(at)
            block = self._file.read(min(_READ_AT_ONCE, end - at))
            for place in range(0, len(block), _SIZE):
                yield block[place : place + _SIZE]


class Repeats:
    """Ordinals of the records of a file, asked in their order."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._sorter = _repeated(records)
        self._entries = self._sorter.entries()
        self._next = next(self._entries, None)

    def ordinal(self, record: Record) -> int:
        """How many identical records stand before `record` in the file."""
        number = record.number.to_bytes(8, "big")
        while self._next is not None and self._next[:8] < number:
            self._next = next(self._entries, None)
        if self._next is None or self._next[:8] != number:
            return 0
        return int.from_bytes(self._next[8:], "big")

    def close(self) -> None:
        """Give up the temporary file."""
        self._sorter.close()


def _repeated(records: Iterable[Record]) -> _Sorter:
    """Entries (number, ordinal) of the records that are not the first of their content."""
    contents, repeated = _Sorter(), _Sorter()
    for record in records:
        if not record.reason:
            contents.add(_hash(record.body) + record.number.to_bytes(8, "big"))
    before, ordinal = b"", 0
    for entry in contents.entries():
        ordinal = ordinal + 1 if entry[:8] == before else 0
        before = entry[:8]
        if ordinal:
            repeated.add(entry[8:] + ordinal.to_bytes(8, "big"))
    contents.close()
    return repeated


def _hash(body: bytes) -> bytes:
    content = body.decode("utf-8").strip().encode()
    return hashlib.blake2b(content, digest_size=8).digest()
