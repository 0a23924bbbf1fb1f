"""Cut JSON that is no line an object: an array, or objects one after another over several lines.

Only brackets, commas and strings are looked at; whether an item is JSON is for who reads it. An item that is never
closed must not swallow what follows: its first line is a fault, and reading goes on at the next line with an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from citywatch.records.chunk import faults_schema, records_schema
from citywatch.records.lines import LONGEST, Cut

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)
_NEXT_OBJECT = re.compile(rb"\n[\s,]*(?=\{)")
_BLANK = b" \t\r\n,"
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OPENS = (b"{", b"[")
_CLOSES = (b"}", b"]")


def cut_items(blocks: Iterable[bytes], broken: Callable[[], str | None] = lambda: None) -> Iterator[Cut]:
    """Items of a stream of blocks; `line` is where an item begins. `broken`: see `cut_lines`."""
    cutter = _Cutter()
    for block in blocks:
        cutter.data += block
        cutter.scan(final=False)
        yield cutter.taken()
    cutter.finish(broken())
    yield cutter.taken()


def array_items(body: bytes) -> list[bytes] | None:
    """Items of a whole array, quickly; None for anything that is not an array from end to end, item by item."""
    try:
        body.decode("utf-8")
        return list(map(bytes, _ARRAY.decode(body)))
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return None


@dataclass
class _Cutter:
    data: bytes = b""
    line: int = 1
    """Number of the line at the beginning of `data`."""
    array: bool = False
    """Inside of an array: commas part the items."""
    level: int = 0
    begin: int = 0
    """Where in `data` the item begins that is looked at."""
    items: list[tuple[int, bytes]] = field(default_factory=list)
    faults: list[tuple[int, str, bytes]] = field(default_factory=list)

    def taken(self) -> Cut:
        lines, raws = zip(*self.items, strict=True) if self.items else ((), ())
        records = pa.table([pa.array(lines, pa.int64()), pa.array(raws, pa.binary())], schema=records_schema())
        columns = list(zip(*self.faults, strict=True)) or [(), (), ()]
        schema = faults_schema()
        faults = pa.table([pa.array(list(c), f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
        self.items, self.faults = [], []
        return Cut(records, faults)

    def scan(self, *, final: bool) -> None:
        """Take the items that are whole, and drop them from `data`."""
        whole = self._scan()
        if final and whole and not self.level and not self.array:
            self._take(len(self.data), len(self.data))
        self._drop(self.begin)
        if len(self.data) > LONGEST:
            self._skip(f"longer than {LONGEST:,} bytes, or never closed")

    def finish(self, broken: str | None) -> None:
        """Take what is left at the end; `broken` is why the end is none."""
        self.scan(final=not broken)
        while self.data.strip(_BLANK):
            self._skip(broken or "never closed")
            if not broken:
                self.scan(final=True)

    def _scan(self) -> bool:
        """Go over the brackets; False when a string is open at the end."""
        self.level = 0
        for match in _TOKEN.finditer(self.data):
            token = match.group()
            if token == b'"':
                return False
            if token in _OPENS:
                self._open(token, match.start())
            elif token in _CLOSES:
                self._close(match.start())
            elif token == b"," and self.array and not self.level:
                self._take(match.start(), match.end())
        return True

    def _open(self, token: bytes, at: int) -> None:
        if not self.level and not self.array:
            self._take(at, at)
            if token == b"[":
                self.array, self.begin = True, at + 1
                return
        self.level += 1

    def _close(self, at: int) -> None:
        if not self.level:  # of the array; elsewhere it is an item of its own, and no JSON
            self._take(at if self.array else at + 1, at + 1)
            self.array = False
            return
        self.level -= 1
        if not self.level and not self.array:
            self._take(at + 1, at + 1)

    def _take(self, end: int, following: int) -> None:
        """The item ends; the next one begins at `following`."""
        text = self.data[self.begin : end].strip(_BLANK)
        if text:
            start = self.data.index(text[:1], self.begin)
            self._drop_lines(start)
            self.items.append((self.line, text))
        self.begin = following

    def _drop_lines(self, until: int) -> None:
        """Let `line` be that of position `until`."""
        self.line += self.data.count(b"\n", self._counted, until)
        self._counted = until

    _counted: int = 0

    def _drop(self, end: int) -> None:
        self._drop_lines(end)
        self.data, self.begin, self._counted = self.data[end:], 0, 0

    def _skip(self, reason: str) -> None:
        """Give up the item at the beginning, and go on at the next line that begins an object."""
        blank = len(self.data) - len(self.data.lstrip(_BLANK))
        found = _NEXT_OBJECT.search(self.data, blank)
        end = found.end() if found else len(self.data)
        self._drop_lines(blank)
        self.faults.append((self.line, reason, self.data[blank:end].rstrip()))
        self._drop(end)
