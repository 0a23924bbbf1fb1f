"""Values that people write in rules, tests and lists, cast as the field they stand for: strictly, or not at all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from citywatch.event import Column

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[+-]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][+-]?[0-9]{1,3})?\Z")
_LIMITS = {"TINYINT": 1 << 7, "SMALLINT": 1 << 15, "INTEGER": 1 << 31, "BIGINT": 1 << 63}
_DEGREES = {"lat": 90.0, "lon": 180.0}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> int:
    """RFC 3339 text with an offset as microseconds UTC; what is finer than a microsecond is cut. Raises ValueError."""
    if not _RFC3339.match(text):
        raise ValueError(f"{text!r} is not a time as RFC 3339 with an offset, such as 2026-01-05T12:00:00Z")
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper().replace(" ", "T"))
    return (datetime.fromisoformat(cut) - _EPOCH) // timedelta(microseconds=1)


def plate(text: str) -> str | None:
    """A number plate as events carry it: A-Z and 0-9 after upper-casing, None when nothing is left."""
    return "".join(c for c in text.upper() if c.isascii() and c.isalnum()) or None


def cast(column: Column, value: Any) -> Any:
    """A JSON value as the column's Python value; None stays None. Raises ValueError that says what is wanted."""
    if value is None:
        return None
    if column.sql.endswith("[]"):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"field {column.name} wants a list of texts, not {value!r}")
        return value
    try:
        made = _CASTS[column.sql](value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"field {column.name} wants {column.sql}, not {value!r}") from error
    if column.sql in _LIMITS and not -_LIMITS[column.sql] <= made < _LIMITS[column.sql]:
        raise ValueError(f"field {column.name} wants {column.sql}, {value!r} is out of range")
    if column.name in _DEGREES and abs(made) > _DEGREES[column.name]:
        raise ValueError(f"field {column.name} is at most {_DEGREES[column.name]:.0f} degrees, not {value!r}")
    return plate(made) if column.name == "plate" else made


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.match(value):
        return int(value)
    raise ValueError


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and not _DECIMAL.match(value)):
        raise ValueError
    if not math.isfinite(made := float(value)):
        raise ValueError
    return made


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def _truth(value: Any) -> bool:
    truth = (
        {True: True, False: False, "true": True, "false": False}.get(value) if isinstance(value, (bool, str)) else None
    )
    if truth is None:
        raise ValueError
    return truth


_CASTS: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "DOUBLE": _number,
    "BOOLEAN": _truth,
    "TINYINT": _whole,
    "SMALLINT": _whole,
    "INTEGER": _whole,
    "BIGINT": _whole,
    "DATE": date.fromisoformat,
    "TIMESTAMPTZ": instant,
}
