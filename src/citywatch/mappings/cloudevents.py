"""CloudEvents 1.0 in JSON as drafts: the one mapping that is the event's own form, and so the quick one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

NAME = "cloudevents"

ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "receivedat", "timeprecision", "data")
"""Attributes that have a column; all others are kept as extensions."""


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
  hash(json_keys(CASE WHEN e IS NOT NULL THEN raw END), json_keys(e.data)) AS shape
FROM (SELECT row, raw, TRY(from_json(raw, '{{{struct}}}')) AS e FROM {chunk})"""


def draft_sql(envelope: str, fields: Sequence[str], extended: bool) -> str:
    """Drafts (in brackets) of the relation `envelope`: the columns of `envelope_sql`, t, r, and `raw` if `extended`."""
    struct = ", ".join(f'"{name}": "VARCHAR"' for name in fields)
    texts = "".join(f", d.{name} AS f_{name}" for name in fields)
    values = f"TRY(from_json(data, '{{{struct}}}'))" if fields else "NULL"
    removed = ", ".join(f'"{name}": null' for name in ATTRIBUTES)
    extensions = f"nullif(CAST(json_merge_patch(raw, '{{{removed}}}') AS VARCHAR), '{{}}')"
    return f"""(
SELECT row, 0 AS n, id, source, type, subject, time, receivedat, timeprecision AS time_precision,
  t, r, CAST(data AS VARCHAR) AS data,
  {extensions if extended else "CAST(NULL AS VARCHAR)"} AS extensions{", raw" if extended else ""},
  CASE WHEN specversion <> '1.0' THEN concat('specversion: ', specversion, ' is not 1.0') END AS refused{texts}
FROM (SELECT *, {values} AS d FROM {envelope}))"""
