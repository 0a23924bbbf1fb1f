"""JSON text in columns: pieces of text are Arrow arrays or constants, joined row by row.

Numbers become text by looking them up in tables of finished strings, which is several times faster than formatting.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.settings import DAY, SECOND
from citywatch.sources.simulator.draws import Integers

Text = pa.Array
"""One string a row."""
Piece = Text | str
"""A column of text, or the same text in every row."""


def join(pieces: Sequence[Piece]) -> Text:
    """The pieces of each row, one after the other; at least one is a column."""
    return pc.binary_join_element_wise(*pieces, "")


def look_up(table: Text, rows: Any) -> Text:
    """`table[i]` for each i in `rows`."""
    return table.take(pa.array(rows))


def table(values: Sequence[str]) -> Text:
    """A table of texts to look up in."""
    return pa.array(values, pa.string())


@cache
def padded(width: int) -> Text:
    """The texts of 0 .. 10**width - 1, with leading zeros."""
    return table([f"{number:0{width}d}" for number in range(10**width)])


@cache
def _whole() -> Text:
    return table([str(number) for number in range(10_000)])


@cache
def _hexadecimal() -> Text:
    return table([f"{number:04x}" for number in range(65_536)])


@cache
def _seconds_of_day() -> Text:
    return table([f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}." for s in range(86_400)])


def whole(numbers: Integers) -> Text:
    """Integers as text."""
    if len(numbers) and 0 <= numbers.min() and numbers.max() < 10_000:
        return look_up(_whole(), numbers)
    return pa.array(numbers).cast(pa.string())


def decimal(scaled: Integers, places: int) -> list[Piece]:
    """Pieces of `scaled / 10**places`, for numbers from 0 to below 10,000."""
    return [look_up(_whole(), scaled // 10**places), ".", look_up(padded(places), scaled % 10**places)]


def uuid(high: Any, low: Any) -> list[Piece]:
    """Pieces of a UUID's text from two columns of 64 bits."""
    quads = [look_up(_hexadecimal(), (half >> np.uint64(s)) & np.uint64(0xFFFF)) for half in (high, low) for s in (48, 32, 16, 0)]
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


def event(type_: str, id_: Sequence[Piece], source: Piece, subject: Piece, times: Integers, data: Sequence[Piece]) -> Text:
    """CloudEvents without the closing brace: what comes when an event is received is still to be added."""
    head: list[Piece] = ['{"specversion":"1.0","id":"', *id_, '","source":"', source, f'","type":"{type_}","subject":"']
    return join([*head, subject, '","time":"', *instant(times), '","data":{', *data, "}"])


def received(bodies: Text, times: Integers) -> Text:
    """Complete lines: events and the time at which each was received."""
    return join([bodies, ',"receivedat":"', *instant(times), '"}'])
