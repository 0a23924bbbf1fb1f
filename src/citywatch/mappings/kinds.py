"""Whether the values of JSON objects are of the kinds that their fields have in JSON, told by their bytes in columns.

DuckDB's JSON reader is patient: it takes "7" and true for numbers. Where the bytes leave no doubt, nothing else need be
asked; a regular expression over every record would cost more than the reading of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from citywatch.event import BY_NAME
from citywatch.records.columns import Array, Bytes, Mask, Offsets, Positions, places, spans

_QUOTE, _COLON = ord('"'), ord(":")
_LONGEST = {"DOUBLE": 17, "SMALLINT": 4, "INTEGER": 9}
"""Characters of a number that need no exact look."""


def _one_of(*characters: str) -> Mask:
    table = np.zeros(256, np.bool_)
    table[[ord(c) for c in "".join(characters)]] = True
    return table


_DIGITS = "0123456789"
_FIRST = {
    "VARCHAR": _one_of('"n-', _DIGITS),
    "BOOLEAN": _one_of("tfn"),
    "DOUBLE": _one_of("n-", _DIGITS),
    "SMALLINT": _one_of("n-", _DIGITS),
    "INTEGER": _one_of("n-", _DIGITS),
}
_INTEGER = _one_of("-", _DIGITS)


def _key_ends(data: Bytes) -> Mask:
    """Where a quote stands before a colon."""
    ends: Mask = (data[:-1] == _QUOTE) & (data[1:] == _COLON)
    return ends


def _exponents(data: Bytes) -> Mask:
    """Where a digit, a dot or a slash (which is between them) stands before an e."""
    found: Mask = ((data[1:] | 32) == ord("e")) & (data[:-1] - np.uint8(ord(".")) <= ord("9") - ord("."))
    return found


def doubts(data: Array, shape: Positions, keys: Sequence[Sequence[str] | None]) -> Mask:
    """Records in which a known field may have a value of another kind, or a very long number; never False wrongly.

    Parameters
    ----------
    data
        JSON objects as DuckDB writes them, without blanks; NULL where there is none.
    shape
        For each record which of `keys` it has, shape (len(data),).
    keys
        Names of the members of each shape, in their order.
    """
    offsets, content = spans(data)
    objects = _Objects(offsets, content)
    found = np.zeros(len(data), np.bool_)
    for number, names in enumerate(keys):
        rows = np.flatnonzero(shape == number)
        if names:
            found[rows] = _plain_names(names) is False or objects.doubts(rows, names)
    return found


def _plain_names(names: Sequence[str]) -> bool:
    """Whether the names stand in JSON as they are."""
    return all(name.isascii() and name.isprintable() and not set(name) & {'"', "\\"} for name in names)


class _Objects:
    """Objects one after another in `content`, and where their keys end.

    A quote inside of a text has a backslash before it. So `":` ends a key, or a text that looks like it: an object that
    has as many of them as members has no such text and no inner object, and each ends the key of its turn.
    """

    def __init__(self, offsets: Offsets, content: Bytes) -> None:
        self._content = content
        self._stops = offsets[1:].astype(np.int64)
        self._ends = places(content, 2, _key_ends)
        self._first = np.searchsorted(self._ends, offsets)
        self._exponent = self._with_exponent()

    def _with_exponent(self) -> Mask:
        """Which values hold something like an exponent, by the number of their key; one more for none."""
        e = places(self._content, 2, _exponents)
        found = np.zeros(len(self._ends) + 1, np.bool_)
        found[np.searchsorted(self._ends, e + 1) - 1] = True
        return found

    def doubts(self, rows: Positions, names: Sequence[str]) -> Mask:
        """Which of the objects `rows`, whose members are called `names`, are in doubt."""
        first = self._first[rows]
        found: Mask = self._first[rows + 1] - first != len(names)
        clear = np.flatnonzero(~found)
        # Of each member, a row of each: where its key ends, where its value begins and stops.
        keys = first[clear] + np.arange(len(names))[:, np.newaxis]
        begins = self._ends[keys] + 2
        lengths = np.array([len(name) for name in names[1:]], np.int64)
        stops = np.vstack([begins[1:] - lengths[:, np.newaxis] - 4, self._stops[rows[clear]] - 1])
        odd = np.zeros(len(clear), np.bool_)
        for name, key, begin, stop in zip(names, keys, begins, stops, strict=True):
            if name in BY_NAME:
                odd |= self._odd(BY_NAME[name].sql, key, begin, stop)
        found[clear] = odd
        return found

    def _odd(self, kind: str, key: Positions, begin: Positions, stop: Positions) -> Mask:
        """Which values, from `begin` to `stop`, are not clearly of a kind."""
        if kind not in _FIRST:
            return np.ones(len(key), np.bool_)
        first = self._content[begin]
        odd = ~_FIRST[kind][first]
        if kind in _LONGEST:
            number = first != ord("n")
            odd |= number & ((stop - begin > _LONGEST[kind]) | self._exponent[key])
            if kind != "DOUBLE":
                odd |= number & ~self._only(_INTEGER, begin, stop, _LONGEST[kind])
        return odd

    def _only(self, allowed: Mask, begin: Positions, stop: Positions, longest: int) -> Mask:
        """Which values consist of allowed characters, as far as `longest`."""
        good = np.ones(len(begin), np.bool_)
        for place in range(1, longest):
            at = np.minimum(begin + place, stop - 1)
            good &= allowed[self._content[at]]
        return good
