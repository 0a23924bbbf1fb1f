"""How much records become whose mapping makes many events of each: every one of these holds its whole record.

Asked before any of it is made: a message of some KB with thousands of items would be a GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from citywatch.mappings.foreign import spread_sql
from citywatch.mappings.model import Mapping
from citywatch.mappings.refusals import Refusals
from citywatch.mappings.statements import Statements
from citywatch.records.chunk import Format
from citywatch.records.columns import Column, Positions, lengths, listed, one_array

LARGEST = 64 << 20
"""Bytes of all events of one record; of a record that would become more none is made."""

MOST = 256 << 20
"""Bytes of all such events that are made at once."""

_EVENT = 512
"""Bytes of an event beside its record."""

_PIECE = 2 << 20
"""Bytes of records whose items are counted at once: that needs some hundred times as much memory."""

_VALUES = 1_000_000
"""A record longer than a piece may become a few dozen events: one of more values is not even counted."""


class Foreign(NamedTuple):
    """Records of which a mapping makes events.

    Attributes
    ----------
    records
        Column row, and raw, or the columns of CSV as texts.
    raw
        The records as they were sent.
    columns
        Names of the columns, for CSV; top-level keys of the records, for JSON.
    """

    mapping: Mapping
    records: pa.Table
    raw: Column
    columns: set[str]


def bounded(of: Foreign, arriving: pa.Table, fmt: Format, sql: Statements, refusals: Refusals) -> tuple[Foreign, int]:
    """Records without those that would become too much each, and bytes of all events of the others together.

    `arriving`: the records with the columns content_id, which may be NULL, and arrived.
    """
    sizes, reasons = np.zeros(len(arriving), np.int64), dict[int, str]()
    for begin, end in _pieces(lengths(one_array(of.raw))):
        if end - begin == 1 and _uncountable(of.raw[begin].as_py()):
            reasons[begin] = f"more than {_VALUES:,} values are too many for one message: send it in parts"
            continue
        piece = sql.table("piece", arriving.slice(begin, end - begin))
        found = sql.run(spread_sql(of.mapping, piece, of.columns, fmt))
        counts, held = found["n"].to_numpy(), found["size"].to_numpy()
        sizes[begin:end] = counts * (held + _EVENT)
        for row in np.flatnonzero(sizes[begin:end] > LARGEST).tolist():
            reasons[begin + row] = _too_many(int(counts[row]), int(held[row]))
    return _without(of, reasons, refusals), int(np.delete(sizes, list(reasons)).sum())


def _without(of: Foreign, reasons: dict[int, str], refusals: Refusals) -> Foreign:
    if not reasons:
        return of
    refusals.add(listed(of.records["row"].take(list(reasons))), list(reasons.values()), of.mapping.name)
    kept = np.ones(len(of.records), np.bool_)
    kept[list(reasons)] = False
    return of._replace(records=of.records.filter(pa.array(kept)), raw=of.raw.filter(pa.array(kept)))


def _pieces(sizes: Positions) -> Iterator[tuple[int, int]]:
    """Neighbours that have `_PIECE` bytes together, or one that has more by itself."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = int(ends[begin] - sizes[begin])
        end = max(int(np.searchsorted(ends, before + _PIECE, side="right")), begin + 1)
        yield begin, end
        begin = end


def _uncountable(record: str) -> bool:
    return len(record) > _PIECE and record.count(",") >= _VALUES


def _too_many(count: int, size: int) -> str:
    return f"{count:,} events of a message of {size:,} bytes are too many: send it in parts"
