"""Cut a stream of bytes into lines: Arrow tables of (line number, bytes), at memory speed.

Blank lines are no records. A line longer than `LONGEST` is a fault; it is put aside on disk, so that memory stays
bounded whatever the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from citywatch.records.chunk import faults_schema, records_schema
from citywatch.records.columns import Bytes, Mask, Offsets, from_spans, lengths, listed, one_array, places
from citywatch.records.oversize import Oversize, fault, too_long

LONGEST = 16 << 20
"""Bytes of the longest record that is read."""

NEWLINE = 10
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b"\r\n\t ")] = True


@dataclass(frozen=True)
class Cut:
    """Records and faults cut from one block of bytes."""

    records: pa.Table
    faults: pa.Table


def cut_lines(
    blocks: Iterable[bytes],
    *,
    first: int = 1,
    longest: int = LONGEST,
    keep_blank: bool = False,
    broken: Callable[[], str | None] = lambda: None,
) -> Iterator[Cut]:
    """Lines of a stream of blocks. The last line needs no line end.

    Parameters
    ----------
    blocks
        Bytes in order; sizes do not matter for the result.
    first
        Number of the first line.
    longest
        Bytes of the longest line that is read.
    keep_blank
        Blank lines are records too: inside of a quoted value they count.
    broken
        Asked after the last block: why the stream ended before its end, if it did. The line that was not finished then
        is a fault with this reason.
    """
    state = _Rest(line=first, longest=longest, keep_blank=keep_blank)
    for block in blocks:
        yield state.feed(block)
    reason = broken()
    yield state.break_off(reason) if reason else state.close()


@dataclass
class _Rest:
    """The unfinished line at the end of what was read."""

    line: int
    longest: int
    keep_blank: bool = False
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    over: Oversize | None = None
    """The line, once it is longer than is read."""

    def feed(self, block: bytes) -> Cut:
        end = block.rfind(b"\n") + 1
        if not end:
            self._hold(block)
            return Cut(records_schema().empty_table(), faults_schema().empty_table())
        first_end = block.find(b"\n") + 1
        long = self.size + first_end - 1 > self.longest
        faults = self._fault(block[: first_end - 1]) if long else faults_schema().empty_table()
        whole = block[first_end:end] if long else b"".join([*self.parts, memoryview(block)[:end]])
        self.parts, self.size = [], 0
        cut = self._records(whole, faults)
        self._hold(block[end:])
        return cut

    def close(self) -> Cut:
        """What stands behind the last line end."""
        if self.size > self.longest:
            return Cut(records_schema().empty_table(), self._fault(b""))
        whole = b"".join(self.parts)
        self.parts, self.size = [], 0
        return self._records(whole + b"\n" if whole else b"", faults_schema().empty_table())

    def break_off(self, reason: str) -> Cut:
        """The stream broke: what stands behind the last line end is a fault."""
        content = self.over.content() if self.over else pa.py_buffer(b"".join(self.parts))
        self.parts, self.size, self.over = [], 0, None
        return Cut(records_schema().empty_table(), fault(self.line, reason, content))

    def _hold(self, part: bytes) -> None:
        if not part:
            return
        self.parts.append(part)
        self.size += len(part)
        if self.size > self.longest:
            self.over = self.over or Oversize(())
            for held in self.parts:
                self.over.write(held)
            self.parts = []

    def _fault(self, ending: bytes) -> pa.Table:
        over = self.over or Oversize(self.parts)
        over.write(ending)
        found = too_long(self.line, over.size, self.longest, over.content())
        self.line += 1
        self.parts, self.size, self.over = [], 0, None
        return found

    def _records(self, whole: bytes, faults: pa.Table) -> Cut:
        table, lines = line_table(whole, self.line, keep_blank=self.keep_blank)
        self.line += lines
        long = lengths(one_array(table["raw"])) > self.longest + 1
        if long.any():
            over = table.filter(pa.array(long))
            table = table.filter(pa.array(~long))
            faults = pa.concat_tables([faults, *_too_long(over, self.longest)])
        return Cut(table, faults)


def _too_long(over: pa.Table, longest: int) -> Iterator[pa.Table]:
    for line, raw in zip(listed(over["line"]), listed(over["raw"]), strict=True):
        yield too_long(line, len(raw) - 1, longest, pa.py_buffer(raw.rstrip(b"\r\n")))


def line_table(whole: bytes, first: int, *, keep_blank: bool = False) -> tuple[pa.Table, int]:
    """Table of the lines of `whole`, by default without blank ones; and how many there were.

    `whole` ends in a line end. The bytes are not copied: each record is a slice of `whole` with its line end.
    """
    if not whole:
        return records_schema().empty_table(), 0
    data = np.frombuffer(whole, np.uint8)
    ends = places(data, 1, lambda part: part == NEWLINE) + 1
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    numbers = pa.array(np.arange(first, first + len(ends)))
    table = pa.table([numbers, from_spans(offsets, whole)], schema=records_schema())
    if keep_blank:
        return table, len(ends)
    blank = _blank(data, offsets)
    return (table.filter(pa.array(~blank)) if blank.any() else table), len(ends)


def _blank(data: Bytes, offsets: Offsets) -> Mask:
    """Which lines hold nothing but blanks; where none starts with one, nothing else is looked at."""
    suspect: Mask = _BLANK[data[offsets[:-1]]]
    return np.logical_and.reduceat(_BLANK[data], offsets[:-1]) if suspect.any() else suspect
