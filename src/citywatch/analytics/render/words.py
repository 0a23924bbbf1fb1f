"""Rows in words, for people: names beside codes, percents, thousands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any

from citywatch.analytics.facts import spellings
from citywatch.offences import code_names

if TYPE_CHECKING:
    import pyarrow as pa

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MEASURES = frozenset(
    "count rows value days persons alerts events per_day revenue revenue_average_fine revenue_per_head inhabitants n "
    "failures kinds planted caught false_alerts".split()
)
"""Columns of amounts: with a mark between thousands, to the right."""

_UNITS = {"_kmh": ", km/h", "_km": ", km", "_s": ", s"}
_MONEY = ("fine", "revenue")
_DECIMALS = {"_kmh": 1, "_km": 2, "_s": 1}
"""End of a column's name -> how its unit is written, and how many decimals all of its values have."""

_WORDS = frozenset(("step", "check", "part", "period", "population", "label", "most_often"))
"""Columns whose texts are names such as `add_to_dispatch`: a person reads them with blanks."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")

SHOWN = 1000
"""A person is not shown more rows, but told how many there are; programs have them all."""

Cells = list[dict[str, str]]


@cache
def names() -> Mapping[str, Mapping[str, str]]:
    """Column -> value as text -> what it is called."""
    from citywatch.analytics.questions.quality import MEANINGS  # noqa: PLC0415 - its module needs more than words

    return {
        "check": {check.replace("_", " "): meaning for check, meaning in MEANINGS.items()},
        "violation_code": code_names(),
        "vehicle_make": spellings("makes"),
        "local_weekday": {str(number): name for number, name in enumerate(WEEKDAYS, 1)},
    }


def heading(column: str) -> str:
    """A column's name in words."""
    if column.endswith(" name"):
        return "meaning" if column.startswith("check") else "name"
    end = _end(column)
    words = column.removesuffix(end).removeprefix("local_").replace("_", " ").replace("p90", "90th percentile")
    return words + (", $" if column.startswith(_MONEY) else _UNITS.get(end, ""))


def _end(column: str) -> str:
    """The part of a column's name that says its unit, empty where none does."""
    return next((end for end in _UNITS if column.endswith(end)), "")


def is_number(column: str) -> bool:
    """Whether its cells stand to the right."""
    ends = ("share", "age", "battery", "temperature", "precision", "recall", *_UNITS)
    return column in MEASURES or column.endswith(ends) or column.startswith("fine")


def in_words(
    rows: pa.Table, private: Mapping[str, Callable[[str], str]] | None = None, zone: tzinfo | None = None
) -> Cells:
    """Each row as column -> text; a column `NAME name` stands behind one that has names.

    `private`: column -> how its values are shown instead. `zone`: where times are told, which then do not say UTC.
    """
    return [dict(_cells(row, private or {}, zone)) for row in rows.to_pylist()]


def _cells(
    row: Mapping[str, Any], private: Mapping[str, Callable[[str], str]], zone: tzinfo | None
) -> list[tuple[str, str]]:
    cells = []
    for column, value in row.items():
        text = _text(column, value, zone)
        cells.append((column, private[column](text) if column in private and text else text))
        if column in names():
            cells.append((f"{column} name", names()[column].get(text, "")))
    return cells


def _moment(found: re.Match[str], zone: tzinfo | None) -> str:
    if zone is None:
        return f"{found[1]} {found[2]} UTC"
    return f"{datetime.fromisoformat(found[0]).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _text(column: str, value: Any, zone: tzinfo | None) -> str:
    if value is None:
        return ""
    if column.endswith("share"):
        return f"{value:.2%}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = _MOMENT.sub(lambda found: _moment(found, zone), str(value))
        return text.replace("_", " ") if column in _WORDS else text
    if end := _end(column):
        return f"{value:,.{_DECIMALS[end]}f}"
    if value == int(value):
        return f"{int(value):,}" if column in MEASURES else str(int(value))
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"
