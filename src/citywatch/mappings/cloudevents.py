"""CloudEvents 1.0 in JSON as drafts: the one mapping that is the event's own form, and so the quick one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from citywatch.event import BY_NAME
from citywatch.records.cloudevent import FINGERPRINT

NAME = "cloudevents"

ATTRIBUTES = (
    "specversion", "id", "source", "type", "subject", "time", "receivedat", "timeprecision", "data", "late",
    FINGERPRINT,
)  # fmt: skip
"""Attributes that have a column; all others are kept as extensions.

`late` and the fingerprint are what `citywatch events` says of an event. The first is decided anew; the second tells a
file that was printed from another event of the same name.
"""


_ODD = {
    "VARCHAR": r"[tf{\[]",
    "BOOLEAN": r'["{\[0-9-]',
    "DOUBLE": r'(["tf{\[]|-?[0-9]{18}|-?[0-9.]+[eE])',
    "SMALLINT": r'(["tf{\[]|-?[0-9]{5}|-?[0-9]+[.eE])',
    "INTEGER": r'(["tf{\[]|-?[0-9]{10}|-?[0-9]+[.eE])',
}
"""Beginnings of JSON values that need an exact look, by the type of the field."""


def fits(keys: Collection[str]) -> bool:
    """Whether an object with these keys means to be a CloudEvent."""
    return "specversion" in keys or {"id", "source", "type"} <= set(keys)


def envelope_sql(chunk: str) -> str:
    """Attributes of every record of the relation `chunk` (row, raw): columns row, raw, ok, the attributes, shape.

    `ok` is false where raw is no JSON. `shape` hashes the keys of the record and of its data, repeated ones included:
    rows of one shape have the same fields.
    """
    struct = ", ".join(f'"{name}": "{"JSON" if name == "data" else "VARCHAR"}"' for name in ATTRIBUTES)
    columns = ", ".join(f"e.{name} AS {name}" for name in ATTRIBUTES)
    return f"""
SELECT row, e IS NOT NULL AS ok, {columns},
  hash(json_keys(CASE WHEN e IS NOT NULL THEN raw END, ['$', '$.data'])) AS shape
FROM (SELECT row, raw, TRY(from_json(raw, '{{{struct}}}')) AS e FROM {chunk})"""


def draft_sql(envelope: str, fields: Sequence[str], *, extended: bool, exact: bool) -> str:
    """Drafts (in brackets) of the relation `envelope`, which has the columns of `envelope_sql`, t and r.

    Parameters
    ----------
    envelope
        Relation of the attributes.
    fields
        Known fields that occur in the data.
    extended
        There are further attributes: `envelope` has `raw`, too.
    exact
        The fields are texts, for `reasons_sql`, and `envelope` has `raw`. Otherwise they have their types as DuckDB's
        JSON reader casts them; `envelope` has `odd`, which says where it may have been more patient than we are.
    """
    struct = ", ".join(f'"{name}": {_type(name, exact)}' for name in fields)
    columns = "".join(f", d.{name} AS f_{name}" for name in fields)
    values = f"TRY(from_json(data, '{{{struct}}}'))" if fields else "NULL"
    removed = ", ".join(f'"{name}": null' for name in ATTRIBUTES)
    extensions = f"nullif(CAST(json_merge_patch(raw, '{{{removed}}}') AS VARCHAR), '{{}}')"
    own = "raw" if exact else "odd"
    return f"""(
SELECT row, CAST(0 AS BIGINT) AS n, id, source, type, subject, time, receivedat, timeprecision AS time_precision,
  t, r, TRY_CAST({FINGERPRINT} AS UINTEGER) AS printed, CAST(data AS VARCHAR) AS data,
  {extensions if extended else "CAST(NULL AS VARCHAR)"} AS extensions, {own},
  CASE WHEN specversion <> '1.0' THEN concat('specversion: ', specversion, ' is not 1.0') END AS refused{columns}
FROM (SELECT *, {values} AS d FROM {envelope}))"""


def _type(field: str, exact: bool) -> str:
    sql = BY_NAME[field].sql
    if sql.endswith("[]") and not exact:
        return '["VARCHAR"]'
    return '"VARCHAR"' if exact else f'"{sql}"'


def odd_sql(fields: Sequence[str]) -> str:
    """SQL that is true where a value in `data` is not of the kind that its field has in JSON, or is very long.

    `data` is JSON without blanks, and a quote inside of a text has a backslash before it: so `"lat":"` is a key that a
    text follows, and nothing else. A nested key of the same name is a doubt too many, which costs time and no event.
    """
    kinds: dict[str, list[str]] = {}
    lists = [name for name in fields if BY_NAME[name].sql.endswith("[]")]
    for name in fields:
        if name not in lists:
            kinds.setdefault(_ODD[BY_NAME[name].sql], []).append(name)
    patterns = [f'"({"|".join(names)})":{values}' for values, names in kinds.items()]
    tests = [f"regexp_matches(CAST(data AS VARCHAR), '{'|'.join(patterns)}')"] if patterns else []
    return f"coalesce({' OR '.join([*tests, *map(_odd_list, lists)]) or 'false'}, false)"


def _odd_list(name: str) -> str:
    """SQL that is true where a list is anything but null or an array of texts without a backslash, or stands twice."""
    text, key = "CAST(data AS VARCHAR)", f'"{name}":'
    times = f"length({text}) - length(replace({text}, '{key}', ''))"
    plain = f"""{key}(null|\\[("[^"\\\\]*"(,"[^"\\\\]*")*)?\\])"""
    return f"(contains({text}, '{key}') AND ({times} <> {len(key)} OR NOT regexp_matches({text}, '{plain}')))"
