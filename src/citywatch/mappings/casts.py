"""Strict casts of text to the known fields, as DuckDB SQL: what does not cast is NULL, and the caller says so.

The text of a value is what JSON shows: ``3.7`` and ``"3.7"`` are both the text 3.7. So an integer field takes integers,
also as text, and nothing else.
"""

from __future__ import annotations

from citywatch.event import Column

INTEGER = "[+-]?[0-9]+"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
RFC3339 = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_FIRST_DAY, _LAST_DAY = "0001-01-02", "9999-12-30"
_SPAN = f"{_FIRST_DAY} to {_LAST_DAY}"
FIRST_TIME = f"TIMESTAMPTZ '{_FIRST_DAY} 00:00:00+00'"
LAST_TIME = f"TIMESTAMPTZ '{_LAST_DAY} 23:59:59.999999+00'"
"""One day short of what a date can show, so that the time can be shown in every zone."""

RANGES = {"lat": 90, "lon": 180}
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
PRECISIONS = ("second", "minute", "day")


def wanted(column: Column) -> str:
    """Wanted type in words, for the reason of a rejection."""
    if column.name in RANGES:
        return f"{column.sql} within ±{RANGES[column.name]}"
    if column.name == "time_precision":
        return " or ".join(PRECISIONS)
    return f"TIMESTAMPTZ in RFC 3339 with an offset, {_SPAN}" if column.sql == "TIMESTAMPTZ" else column.sql


def cast_sql(column: Column, text: str) -> str:
    """SQL that casts the VARCHAR expression `text` to the type of `column`; NULL when it does not cast."""
    if column.name == "plate":
        return plate_sql(text)
    if column.name == "time_precision":
        return f"CASE WHEN {text} IN {PRECISIONS} THEN {text} END"
    if column.sql in _INTEGERS:
        return f"CASE WHEN regexp_full_match({text}, '{INTEGER}') THEN TRY_CAST({text} AS {column.sql}) END"
    if column.sql == "DOUBLE":
        return _double_sql(text, RANGES.get(column.name))
    cast: str = _OTHERS[column.sql](text)
    return cast


def plate_sql(text: str) -> str:
    """Upper case letters and digits of `text`; NULL when none is left."""
    upper = f"upper(CASE WHEN strlen({text}) = length({text}) THEN {text} ELSE {_unfolded(text)} END)"
    cleaned = f"nullif(regexp_replace({upper}, '[^A-Z0-9]', '', 'g'), '')"
    # Nearly all are NULL or clean already, and to look at them is quicker than to replace nothing in them.
    clean = f"{text} IS NULL OR regexp_full_match({text}, '[A-Z0-9]+')"
    return f"CASE WHEN {clean} THEN {text} ELSE {cleaned} END"


_UNFOLDED = "ß=SS ﬀ=FF ﬁ=FI ﬂ=FL ﬃ=FFI ﬄ=FFL ﬅ=ST ﬆ=ST ŉ=N ǰ=J ẖ=H ẗ=T ẘ=W ẙ=Y ẚ=A ı=I ſ=S"


def _unfolded(text: str) -> str:
    """`text` with those few letters spelled out that turn into plain letters when they are made upper case."""
    for pair in _UNFOLDED.split():
        letter, plain = pair.split("=")
        text = f"replace({text}, '{letter}', '{plain}')"
    return text


def time_sql(text: str) -> str:
    """RFC 3339 with an offset as TIMESTAMPTZ, cut to microseconds."""
    value = f"TRY_CAST(upper({text}) AS TIMESTAMPTZ)"
    shown = f"{value} BETWEEN {FIRST_TIME} AND {LAST_TIME}"
    return f"CASE WHEN regexp_full_match({text}, '{RFC3339}') AND {shown} THEN {value} END"


def _double_sql(text: str, limit: int | None) -> str:
    value = f"TRY_CAST({text} AS DOUBLE)"
    fits = f"abs({value}) <= {limit}" if limit else f"isfinite({value})"
    return f"CASE WHEN regexp_full_match({text}, '{NUMBER}') AND {fits} THEN {value} END"


def _list_sql(text: str) -> str:
    return f"CASE WHEN starts_with({text}, '[') THEN TRY(from_json({text}, '[\"VARCHAR\"]')) END"


_OTHERS = {
    "VARCHAR": lambda text: text,
    "BOOLEAN": lambda text: f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false END",
    "VARCHAR[]": _list_sql,
    "TIMESTAMPTZ": time_sql,
}
