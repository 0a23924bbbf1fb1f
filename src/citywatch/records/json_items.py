"""Cut JSON that is no line an object: an array, or objects one after another over several lines.

Only brackets, commas and strings are looked at; whether an item is JSON is for who reads it. An item that is never
closed must not swallow what follows: its first line is a fault, and reading goes on at the next line with an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from citywatch.records.chunk import faults_schema, records_schema
from citywatch.records.lines import KEPT, LONGEST, Cut

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)
_NEXT_OBJECT = re.compile(rb"\n[\s,]*(?=\{)")
_BLANK = b" \t\r\n,"


def cut_items(blocks: Iterable[bytes], broken: Callable[[], str | None] = lambda: None) -> Iterator[Cut]:
    """Items of a stream of blocks; `line` is where an item begins. `broken`: see `cut_lines`."""
    cutter = _Cutter()
    for block in blocks:
        cutter.data += block
        cutter.scan(final=False)
        yield cutter.taken()
    cutter.finish(broken())
    yield cutter.taken()


@dataclass
class _Cutter:
    data: bytes = b""
    line: int = 1
    array: bool = False
    """Inside of an array: commas part the items."""
    items: list[tuple[int, bytes]] = field(default_factory=list)
    faults: list[tuple[int, str, bytes]] = field(default_factory=list)

    def taken(self) -> Cut:
        lines, raws = zip(*self.items, strict=True) if self.items else ((), ())
        records = pa.table([lines, raws], schema=records_schema())
        columns = zip(*self.faults, strict=True) if self.faults else ((), (), ())
        faults = pa.table([list(column) for column in columns], schema=faults_schema())
        self.items, self.faults = [], []
        return Cut(records, faults)

    def scan(self, *, final: bool) -> None:
        """Take the items that are whole, and drop them from `data`."""
        while (end := self._item_end(final)) is not None:
            self._take(end)
        if len(self.data) > LONGEST:
            self._skip(f"longer than {LONGEST:,} bytes, or never closed; the first {KEPT:,} are kept")

    def finish(self, broken: str | None) -> None:
        """Take what is left at the end; `broken` is why the end is none."""
        self.scan(final=not broken)
        while self.data.strip(_BLANK):
            self._skip(broken or "never closed")
            if not broken:
                self.scan(final=True)

    def _item_end(self, final: bool) -> int | None:
        """Where the item at the beginning of `data` ends; None when that is not to be seen yet."""
        level = 0
        for match in _TOKEN.finditer(self.data):
            token = match.group()
            if token == b'"':
                return None
            if token in (b"{", b"["):
                if not level and not self.array:
                    if self.data[: match.start()].strip(_BLANK):
                        return match.start()
                    if token == b"[":
                        self._enter(match.end())
                        return self._item_end(final)
                level += 1
            elif token in (b"}", b"]"):
                if not level:
                    return self._leave(match.start())
                level -= 1
                if not level and not self.array:
                    return match.end()
            elif token == b"," and not level and self.array:
                return match.end()
        return len(self.data) if final and not level and not self.array and self.data else None

    def _enter(self, end: int) -> None:
        self._drop(end)
        self.array = True

    def _leave(self, start: int) -> int:
        """The array ends: its last item is what stands before the bracket."""
        if not self.array:
            return start + 1
        self.array = False
        self.data = self.data[:start] + b" " + self.data[start + 1 :]
        return start

    def _take(self, end: int) -> None:
        text = self.data[:end].strip(_BLANK)
        if text:
            before = self.data[: self.data.index(text[:1])].count(b"\n")
            self.items.append((self.line + before, text))
        self._drop(end)

    def _drop(self, end: int) -> None:
        self.line += self.data.count(b"\n", 0, end)
        self.data = self.data[end:]

    def _skip(self, reason: str) -> None:
        """Give up the item at the beginning, and go on at the next line that begins an object."""
        blank = len(self.data) - len(self.data.lstrip(_BLANK))
        found = _NEXT_OBJECT.search(self.data, blank)
        end = found.end() if found else len(self.data)
        line = self.line + self.data.count(b"\n", 0, blank)
        self.faults.append((line, reason, self.data[blank:end].rstrip()[:KEPT]))
        self._drop(end)
