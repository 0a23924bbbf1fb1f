"""JSON text in columns: pieces of text are Arrow arrays or constants, joined row by row.

Numbers become text by looking them up in tables of finished strings, which is several times faster than formatting.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.settings import DAY, SECOND
from citywatch.sources.simulator.draws import Integers

Text: TypeAlias = pa.StringArray
"""One string a row."""
Piece: TypeAlias = Text | str
"""A column of text, or the same text in every row."""


def join(pieces: Sequence[Piece]) -> Text:
    """The pieces of each row, one after the other; at least one is a column."""
    joined: Any = pc.binary_join_element_wise(*cast(Any, pieces), "")  # the stubs know only columns
    return cast(Text, joined)


def look_up(table: Text, rows: Any) -> Text:
    """`table[i]` for each i in `rows`."""
    return table.take(pa.array(rows))


def table(values: Sequence[str]) -> Text:
    """A table of texts to look up in."""
    return pa.array(values, pa.string())


@cache
def padded(width: int) -> Text:
    """The texts of 0 .. 10**width - 1, with leading zeros."""
    return pc.utf8_lpad(_texts(10**width), width, "0")


def _texts(count: int) -> Text:
    return _decimal_text(np.arange(count))


def _decimal_text(numbers: Integers) -> Text:
    return cast(Text, pa.array(numbers).cast(pa.string()))


def product(*tables: Text) -> Text:
    """Every text of the first table followed by every text of the next, and so on; the last varies fastest."""
    rows = np.indices([len(t) for t in tables]).reshape(len(tables), -1)
    return join([look_up(t, row) for t, row in zip(tables, rows, strict=True)])


@cache
def _whole() -> Text:
    return _texts(10_000)


@cache
def _hexadecimal() -> Text:
    digits = table(list("0123456789abcdef"))
    return product(digits, digits, digits, digits)


@cache
def _seconds_of_day() -> Text:
    sixty = padded(2).slice(0, 60)
    return product(table(["T"]), padded(2).slice(0, 24), table([":"]), sixty, table([":"]), sixty, table(["."]))


def whole(numbers: Integers) -> Text:
    """Integers as text."""
    if len(numbers) and numbers.min() >= 0 and numbers.max() < 10_000:
        return look_up(_whole(), numbers)
    return _decimal_text(numbers)


def decimal(scaled: Integers, places: int) -> list[Piece]:
    """Pieces of `scaled / 10**places`, for numbers from 0 to below 10,000."""
    return [look_up(_whole(), scaled // 10**places), ".", look_up(padded(places), scaled % 10**places)]


def uuid(high: Any, low: Any) -> list[Piece]:
    """Pieces of a UUID's text from two columns of 64 bits."""
    quads = [
        look_up(_hexadecimal(), (half >> np.uint64(s)) & np.uint64(0xFFFF))
        for half in (high, low)
        for s in (48, 32, 16, 0)
    ]
    a, b, c, d, e, f, g, h = quads
    return [a, b, "-", c, "-", d, "-", e, "-", f, g, h]


def instant(times: Integers) -> list[Piece]:
    """Pieces of RFC 3339 in UTC with milliseconds, of µs since 1970."""
    days = times // DAY
    known, rows = np.unique(days, return_inverse=True)
    dates = table([str(dt.date(1970, 1, 1) + dt.timedelta(days=int(day))) for day in known])
    in_day = times - days * DAY
    return [
        look_up(dates, rows),
        look_up(_seconds_of_day(), in_day // SECOND),
        look_up(padded(3), in_day % SECOND // 1000),
        "Z",
    ]


def event(
    type_: str, *, id_: Sequence[Piece], source: Piece, subject: Piece, times: Integers, data: Sequence[Piece]
) -> Text:
    """CloudEvents without the closing brace: what comes when an event is received is still to be added."""
    head: list[Piece] = ['{"specversion":"1.0","id":"', *id_, '","source":"', source, f'","type":"{type_}","subject":"']
    return join([*head, subject, '","time":"', *instant(times), '","data":{', *data, "}"])


def received(bodies: Text, times: Integers) -> Text:
    """Complete lines: events and the time at which each was received."""
    return join([bodies, ',"receivedat":"', *instant(times), '"}'])


def block(lines: pa.Array[Any]) -> memoryview:
    """All lines as the bytes of a file, each with its line end."""
    if not len(lines):
        return memoryview(b"")
    ended = join([cast(Text, lines), "\n"])
    return memoryview(cast(pa.Buffer, ended.buffers()[2]))
