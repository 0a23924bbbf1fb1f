"""RFC 3339 texts as microseconds, in columns: the forms that machines write at memory speed, all others left to SQL."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.records.columns import Array, Bytes, Mask, Positions, spans

_ZULU = 20
"""Bytes of ``2026-05-01T12:00:00Z``; longer ones have a dot and digits before the Z."""

_FRACTIONS = (0, 3, 6)
_DIGITS = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_SIGNS = {4: b"-", 7: b"-", 10: b"T", 13: b":", 16: b":"}
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_NOUGHT = np.uint8(ord("0"))
_SECOND = 1_000_000

Numbers = npt.NDArray[np.int32]


def instants(texts: Array) -> tuple[Array, Array]:
    """µs UTC of the texts that are plain times of UTC, and the texts that are not: both as long as `texts`, NULL else.

    Plain is ``YYYY-MM-DDTHH:MM:SS[.ffffff|.fff]Z`` with a year from 2 to 9998; others may be times too, or none:
    at the ends of what a date can show SQL draws the line.
    """
    offsets, data = spans(texts)
    lengths = np.diff(offsets)
    micros = np.zeros(len(texts), np.int64)
    plain = np.zeros(len(texts), bool)
    for digits in _FRACTIONS:
        length = _ZULU + (digits + 1 if digits else 0)
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(texts):
            micros, plain = _plain(data.reshape(-1, length), digits)
        elif len(rows):
            micros[rows], plain[rows] = _plain(data[offsets[rows][:, np.newaxis] + np.arange(length)], digits)
    plain &= ~np.asarray(texts.is_null())
    rest = texts if not plain.any() else pc.if_else(pa.array(plain), pa.scalar(None, pa.string()), texts)
    return pa.array(micros, mask=~plain).cast(pa.timestamp("us", tz="UTC")), rest


def _plain(texts: Bytes, digits: int) -> tuple[Positions, Mask]:
    """µs of texts, shape (n, bytes of each), with so many digits behind a dot; and which of them are such times."""
    good = texts[:, -1] == ord("Z")
    for at, sign in _SIGNS.items():
        good &= texts[:, at] == sign[0]
    number = {}
    for at in _DIGITS:
        digit = texts[:, at] - _NOUGHT  # below it there is a number that is larger than nine
        good &= digit <= 9
        number[at] = digit.astype(np.int32)
    year = number[0] * 1000 + number[1] * 100 + number[2] * 10 + number[3]
    month, day, hour, minute, second = (number[at] * 10 + number[at + 1] for at in (5, 8, 11, 14, 17))
    good &= (year > 1) & (year < 9999) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (day >= 1) & (day <= _DAYS[np.clip(month, 0, 12)] + leap)
    fraction, valid = _fraction(texts, digits)
    seconds = _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    return seconds * _SECOND + fraction, good & valid


def _fraction(texts: Bytes, digits: int) -> tuple[Positions, Mask]:
    """µs of the digits behind the dot."""
    micros = np.zeros(len(texts), np.int64)
    good = np.ones(len(texts), bool) if not digits else texts[:, 19] == ord(".")
    for place in range(digits):
        digit = texts[:, 20 + place] - _NOUGHT
        good &= digit <= 9
        micros += digit.astype(np.int64) * 10 ** (5 - place)
    return micros, good


def _days(year: Numbers, month: Numbers, day: Numbers) -> Positions:
    """Days since 1970-01-01 in the Gregorian calendar (years that begin in March make leap days the last)."""
    shifted = (year - (month <= 2)).astype(np.int64)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: Positions = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days
