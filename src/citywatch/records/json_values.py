"""What DuckDB's JSON reader lets pass and the standard does not: trailing commas, NaN and infinity, endless nesting.

`doubtful` looks at all bytes of a batch at memory speed and errs on the side of doubt; `complaint` is exact and is
asked about doubtful records only.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

import numpy as np

from citywatch.records.columns import Array, Bytes, Mask, Offsets, Positions, spans

DEEPEST = 64
"""Levels of nesting that are read."""

_PIECE = 256 << 10
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_HALF = r"u[dD]{}[0-9a-fA-F]{{2}}"
_FIRST, _SECOND = _HALF.format("[89abAB]"), _HALF.format("[c-fC-F]")
_ESCAPE = re.compile(rf"\\(?:{_FIRST}\\{_SECOND}|({_FIRST}|{_SECOND})|.)", re.DOTALL)
"""What a backslash begins; a group where it is half of a character without the other."""
_OPENS = (b"{", b"[")
_BEFORE_TOKEN = np.zeros(256, dtype=bool)
_BEFORE_TOKEN[list(b":,[ \t\r\n+-")] = True


def doubtful(raw: Array) -> Mask:
    """Mask of the records that may be no standard JSON: shape (len(raw),). False means that there is no doubt."""
    starts, data = spans(raw)
    mask: Mask = np.zeros(len(raw), bool)
    begin = 0
    while begin < len(raw):  # pieces that stay in the processor's cache
        end = max(int(np.searchsorted(starts, starts[begin] + _PIECE)), begin + 1)
        end = min(end, len(raw))
        mask[begin:end] = _doubts(data[starts[begin] : starts[end]], starts[begin : end + 1] - starts[begin])
        begin = end
    return mask


def _doubts(data: Bytes, starts: Offsets) -> Mask:
    folded: Bytes = data | np.uint8(32)
    opens = np.flatnonzero(folded == 123)  # { and [
    mask: Mask = np.diff(np.searchsorted(opens, starts)) > DEEPEST
    for positions in (_after_comma(data, folded), _not_a_number(data, folded)):
        if len(positions):
            mask[np.searchsorted(starts, positions, side="right") - 1] = True
    return mask


def _after_comma(data: Bytes, folded: Bytes) -> Positions:
    """Positions of closing brackets behind a comma or a blank."""
    closers = np.flatnonzero(folded == 125)  # } and ]
    before = data[np.maximum(closers - 1, 0)]
    found: Positions = closers[(before == 44) | (before <= 32)]
    return found


def _not_a_number(data: Bytes, folded: Bytes) -> Positions:
    """Positions of `nan` and `inf`, in any case, where a value may begin."""
    ns = np.flatnonzero(folded[1:-1] == 110) + 1
    before, behind = folded[ns - 1], folded[ns + 1]
    nan = ns[(before == 97) & (folded[ns - 2] == 110)] - 2  # the last n of nan
    inf = ns[(before == 105) & (behind == 102)] - 1
    positions = np.concatenate([nan, inf])
    found: Positions = positions[(positions > 0) & _BEFORE_TOKEN[data[positions - 1]]]
    return found


def complaint(record: bytes) -> str | None:
    """Why `record` is no JSON that we read, or None when it is fine."""
    if depth(record) > DEEPEST:
        return f"nested deeper than {DEEPEST} levels"
    try:
        json.loads(record, parse_constant=_refuse_constant)
    except ValueError as error:
        return f"not JSON: {error}"
    return None


def unreadable(record: str) -> str:
    """Why DuckDB reads a record as no JSON, as far as that can be told at once."""
    for found in _ESCAPE.finditer(record):
        if found[1]:
            return f"not JSON: {found[0]} at {found.start() + 1} is half of a character, and the other half is missing"
    return "not JSON"


def depth(record: bytes) -> int:
    """Greatest number of brackets that are open at once; brackets inside of strings do not count."""
    level = deepest = 0
    for token in _TOKEN.finditer(record):
        text = token.group()
        if text in _OPENS:
            level += 1
            deepest = max(deepest, level)
        elif len(text) == 1:
            level -= 1
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
