"""From foreign records to drafts: the SQL that a mapping file stands for."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from citywatch.event import BY_NAME
from citywatch.mappings.drafts import member_sql
from citywatch.mappings.model import Expression, Mapping, Output
from citywatch.records.chunk import Format

PLAIN = "plain"
"""Name, with which the names of those tables begin whose texts have nothing that JSON escapes."""

INNER = ("_row", "_raw", "content_id", "arrived")
"""Columns that a mapping's expressions meet beside its fields."""

OF_EACH = ("item", "nth")
"""Columns that the expressions of an output with `each` meet: the item, and its number from 1 on."""


def draft_sql(
    mapping: Mapping,
    relation: str,
    columns: Collection[str],
    fields: Sequence[str],
    fmt: Format,
    *,
    stamped: bool = False,
) -> str:
    """Drafts (in brackets) of the records in `relation`.

    Parameters
    ----------
    mapping
        What to make of a record.
    relation
        Columns row, raw (JSON; of CSV the row as JSON), content_id, arrived, and for CSV its columns of texts.
    columns
        Names of the columns, for CSV; top-level keys of the records, for JSON.
    fields
        Known fields of the drafts, in order.
    fmt
        How the records are written.
    stamped
        A record that does not say when it was received was at `arrived`.
    """
    message = (
        _json_sql(mapping, relation, fields) if fmt is Format.JSON else _csv_sql(mapping, relation, columns, fields)
    )
    parts = [_output_sql(mapping, output, n, fields, fmt, stamped=stamped) for n, output in enumerate(mapping.outputs)]
    if mapping.refusals:
        message = f"SELECT *, {_refused_sql(mapping)} AS _refused FROM ({message})"
        parts.append(_refusals_sql(fields))
    return f"(WITH message AS MATERIALIZED ({message}) {' UNION ALL '.join(parts)})"


def spread_sql(mapping: Mapping, relation: str, columns: Collection[str], fmt: Format) -> str:
    """Columns `n`, how many events outputs with `each` make of a record at most, and `size`, the bytes that each holds.

    The arguments are those of `draft_sql`; of the relation's columns content_id may be NULL.
    """
    message = _json_sql(mapping, relation, []) if fmt is Format.JSON else _csv_sql(mapping, relation, columns, [])
    counts = [f"coalesce(TRY(len({output.each.sql})), 0)" for output in mapping.outputs if output.each]
    return f"SELECT CAST({' + '.join(counts)} AS BIGINT) AS n, strlen(_raw) AS size FROM ({message})"


def output_fields(mapping: Mapping, keys: Collection[str], known: Sequence[str]) -> list[str]:
    """Known fields that drafts of this mapping have: those it sets, and those which records carry under their names."""
    declared = {key for field in mapping.fields for key in field.keys}
    made = {name for output in mapping.outputs for name in output.fields}
    return [name for name in known if name in made or (name in keys and name not in declared)]


def _json_sql(mapping: Mapping, relation: str, fields: Sequence[str]) -> str:
    tree: dict[str, Any] = {}
    for path in {path for field in mapping.fields for path in field.paths} | set(_passed(mapping, fields)):
        _plant(tree, path.split("."))
    struct = json.dumps(tree).replace("'", "''")
    named = "".join(f', {_first([_member(p) for p in f.paths], mapping)} AS "{f.name}"' for f in mapping.fields)
    passed = "".join(f", {_member(name)} AS _passed_{name}" for name in _passed(mapping, fields))
    return f"""SELECT row AS _row, raw AS _raw, content_id, arrived{named}{passed}
FROM (SELECT *, TRY(from_json(raw, '{struct}')) AS _m FROM {relation})"""


def _plant(tree: dict[str, Any], path: list[str]) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = "VARCHAR"


def _member(path: str) -> str:
    return "_m." + ".".join('"' + key.replace('"', '""') + '"' for key in path.split("."))


def _csv_sql(mapping: Mapping, relation: str, columns: Collection[str], fields: Sequence[str]) -> str:
    def named(paths: Sequence[str]) -> str:
        return _first([f'"{path}"' for path in paths if path in columns], mapping)

    texts = "".join(f', {named(f.paths)} AS "{f.name}"' for f in mapping.fields)
    set_anew = {*fields, *(key for output in mapping.outputs for key in output.data)}
    kept = [name for name in sorted(columns) if not name.startswith("_") and name not in set_anew]
    members = ", ".join(member_sql(name, f'"{name}"', plain=relation.startswith(PLAIN)) for name in kept)
    row = f"concat_ws(',', {members})" if members else "''"
    passed = "".join(f', "{name}" AS _passed_{name}' for name in _passed(mapping, fields))
    return f"SELECT row AS _row, {row} AS _raw, content_id, arrived{texts}{passed} FROM {relation}"


def _first(texts: Sequence[str], mapping: Mapping) -> str:
    """The first of several places that holds something."""
    unknown = ", ".join("'" + text.replace("'", "''") + "'" for text in sorted(mapping.null))
    texts = [f"CASE WHEN {text} NOT IN ({unknown}) THEN {text} END" for text in texts] if unknown else texts
    return f"coalesce({', '.join(texts)})" if texts else "CAST(NULL AS VARCHAR)"


def _passed(mapping: Mapping, fields: Sequence[str]) -> list[str]:
    made = {name for output in mapping.outputs for name in output.fields}
    return [name for name in fields if name not in made]


def _output_sql(
    mapping: Mapping, output: Output, number: int, fields: Sequence[str], fmt: Format, *, stamped: bool
) -> str:
    source, n = _source_sql(mapping, output, number)
    made = {
        **{f"_{name}": _text(output.attributes.get(name)) for name in ("id", "source", "type", "subject")},
        "_time": _sql(output.attributes.get("time")),
        "_precision": _text(output.attributes.get("time_precision")),
        "_received": _text(output.attributes.get("received_at")),
        "_data": _data_sql(output, fmt),
        **{f"f_{name}": _field_sql(output, name, _passed(mapping, fields)) for name in fields},
    }
    inner = f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in made.items())} FROM {source}"
    if output.when:
        inner += f" WHERE coalesce(TRY({output.when.sql}), false)"
    texts = "".join(f", f_{name}" for name in fields)
    receipt = "CASE WHEN _received IS NULL THEN arrived END" if stamped else "CAST(NULL AS TIMESTAMPTZ)"
    return f"""(SELECT _row AS row, CAST({n} AS BIGINT) AS n, _id AS id, _source AS source, _type AS type,
  _subject AS subject, CASE WHEN typeof(_time) = 'VARCHAR' THEN CAST(_time AS VARCHAR) END AS time,
  _received AS receivedat, _precision AS time_precision,
  CASE WHEN typeof(_time) <> 'VARCHAR' THEN TRY_CAST(_time AS TIMESTAMPTZ) END AS t, {receipt} AS r,
  _data AS data, CAST(NULL AS VARCHAR) AS extensions, CAST(NULL AS VARCHAR) AS refused{texts} FROM ({inner}))"""


def _source_sql(mapping: Mapping, output: Output, number: int) -> tuple[str, str]:
    """Relation of what becomes an event each, and SQL of its number among the events of its record."""
    message = "(SELECT * FROM message WHERE _refused IS NULL)" if mapping.refusals else "message"
    if output.each is None:
        return message, str(number)
    listed = f"(SELECT *, TRY({output.each.sql}) AS _items FROM {message})"
    source = f"(SELECT *, unnest(_items) AS item, generate_subscripts(_items, 1) AS nth FROM {listed})"
    return source, f"{number} + {len(mapping.outputs)} * (nth - 1)"


def _field_sql(output: Output, name: str, passed: Collection[str]) -> str:
    if name in passed:
        return f"_passed_{name}"
    expression = output.fields.get(name)
    if expression is None:
        return "CAST(NULL AS VARCHAR)"
    if BY_NAME[name].sql.endswith("[]"):
        return _list_text(expression.sql)
    return _text(expression)


def _list_text(sql: str) -> str:
    """A list as JSON text; JSON text stays."""
    return (
        f"TRY(CASE WHEN typeof({sql}) = 'VARCHAR' THEN CAST({sql} AS VARCHAR) ELSE CAST(to_json({sql}) AS VARCHAR) END)"
    )


def _sql(expression: Expression | None) -> str:
    return f"TRY({expression.sql})" if expression else "CAST(NULL AS VARCHAR)"


def _text(expression: Expression | None) -> str:
    return f"CAST({_sql(expression)} AS VARCHAR)"


def _data_sql(output: Output, fmt: Format) -> str:
    """The record as it came, with the further keys of the mapping: JSON, or members of an object for CSV."""
    if not output.data:
        return "_raw"
    if fmt is Format.CSV:
        members = ", ".join(member_sql(key, f"TRY({expression.sql})") for key, expression in output.data.items())
        return f"concat_ws(',', nullif(_raw, ''), {members})"
    pairs = ", ".join(f"'{key}', TRY({expression.sql})" for key, expression in output.data.items())
    return f"CAST(json_merge_patch(_raw, json_object({pairs})) AS VARCHAR)"


def _refusals_sql(fields: Sequence[str]) -> str:
    """One draft for each record that is refused as a whole, whatever it would have become."""
    nothing = "".join(f", CAST(NULL AS VARCHAR) AS f_{name}" for name in fields)
    return f"""(SELECT _row AS row, CAST(0 AS BIGINT) AS n, '-' AS id, '-' AS source, '-' AS type,
  CAST(NULL AS VARCHAR) AS subject, CAST(NULL AS VARCHAR) AS time, CAST(NULL AS VARCHAR) AS receivedat,
  CAST(NULL AS VARCHAR) AS time_precision, CAST(NULL AS TIMESTAMPTZ) AS t, CAST(NULL AS TIMESTAMPTZ) AS r,
  CAST(NULL AS VARCHAR) AS data, CAST(NULL AS VARCHAR) AS extensions, _refused AS refused{nothing}
  FROM message WHERE _refused IS NOT NULL)"""


def _refused_sql(mapping: Mapping) -> str:
    return f"CASE{''.join(f' WHEN TRY({r.when.sql}) THEN {r.reason.sql}' for r in mapping.refusals)} END"
