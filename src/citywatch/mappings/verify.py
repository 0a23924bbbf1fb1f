"""Judge the expressions of a mapping before it is used: DuckDB binds each against the columns that it may use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb

from citywatch.errors import MappingError
from citywatch.event import COLUMNS
from citywatch.mappings.foreign import INNER, OF_EACH
from citywatch.mappings.macros import MACROS, create_macros
from citywatch.mappings.model import Expression, Mapping, Output
from citywatch.rules.problems import nearest
from citywatch.rules.syntax import PredicateError, Syntax

_MEANT = frozenset(signature.split("(")[0] for signature in MACROS)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"enable_external_access": False, "threads": 1})
    con.execute("SET TimeZone = 'UTC'")
    create_macros(con, "America/New_York")
    return con


@cache
def _volatile() -> frozenset[str]:
    """Functions whose answer depends on more than their arguments."""
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    answers = {str(name) for (name,) in _connection().execute(sql).fetchall()}
    return frozenset(answers - _MEANT)


def verify(mapping: Mapping) -> None:
    """Raises MappingError for the first expression that DuckDB cannot bind, or that asks for more than its record."""
    columns = _message(mapping)
    for refusal in mapping.refusals:
        _bind(refusal.when, columns, "BOOLEAN")
        _bind(refusal.reason, columns, "VARCHAR")
    for output in mapping.outputs:
        _verify_output(output, columns)
    if mapping.returns:
        known = {column.name: column.sql for column in COLUMNS} | {"data": "JSON"}
        _bind(mapping.returns.when, known, "BOOLEAN")
        for expression in (*mapping.returns.record.values(), *filter(None, [mapping.returns.line])):
            _bind(expression, known)


def _message(mapping: Mapping) -> dict[str, str]:
    for field in mapping.fields:
        if field.name in INNER + OF_EACH:
            raise MappingError(f"{field.name} is taken, call the field otherwise", where=field.place)
    _refuse_unreadable(mapping)
    own = {"_raw": "JSON", "content_id": "VARCHAR", "arrived": "TIMESTAMPTZ"}
    return {field.name: "VARCHAR" for field in mapping.fields} | own


def _refuse_unreadable(mapping: Mapping) -> None:
    """A key is read as a text or as an object with keys, not as both; DuckDB takes no two that differ in case only."""
    paths = [path for field in mapping.fields for path in field.paths]
    objects = {path.rsplit(".", n)[0] for path in paths for n in range(1, path.count(".") + 1)}
    spelled: dict[str, str] = {}
    for field in mapping.fields:
        if both := objects.intersection(field.paths):
            raise MappingError(
                f"{min(both)} is read whole and by its keys", where=field.place, hint="take the keys from its JSON text"
            )
        for path in field.paths:
            if spelled.setdefault(path.lower(), path) != path:
                raise MappingError(f"{path} and {spelled[path.lower()]} differ in case only", where=field.place)


def _verify_output(output: Output, columns: dict[str, str]) -> None:
    if output.each:
        kind = _bind(output.each, columns)
        if not kind.endswith("[]"):
            raise MappingError(f"each has to be a list, not {kind}", where=output.each.place)
        columns = {**columns, "item": kind.removesuffix("[]"), "nth": "BIGINT"}
    if output.when:
        _bind(output.when, columns, "BOOLEAN")
    for expression in _expressions(output):
        kind = _bind(expression, columns)
        if kind == "TIMESTAMP":
            raise MappingError(
                f"{expression.sql} is a time without a zone", where=expression.place, hint="wrap it in city_time(…)"
            )


def _expressions(output: Output) -> Iterator[Expression]:
    yield from output.attributes.values()
    yield from output.fields.values()
    yield from output.data.values()


def _bind(expression: Expression, columns: dict[str, str], wanted: str | None = None) -> str:
    """Type of the expression over columns of these types."""
    names = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())
    try:
        _refuse_volatile(Syntax(_connection()).parse(expression.sql), expression)
        sql = f"SELECT typeof(({expression.sql})) FROM (SELECT {names}) LIMIT 1"
        (answer,) = _connection().execute(sql).fetchone() or ("NULL",)
    except PredicateError as error:
        hint = error.hint or _word_of_sql(expression.sql, columns)
        raise MappingError(error.what, where=expression.place, hint=hint) from error
    except duckdb.Error as error:
        raise _refused(error, expression, columns) from error
    kind = str(answer)
    if wanted and kind not in (wanted, '"NULL"', "NULL"):
        raise MappingError(f"{expression.sql} is {kind}, wanted is {wanted}", where=expression.place)
    return kind


def _word_of_sql(sql: str, columns: dict[str, str]) -> str | None:
    """A hint where a field is called like a word of SQL, such as `at` or `from`, and stands there bare."""
    for name in columns:
        if re.search(rf'(?<!["\w]){re.escape(name)}(?!["\w])', sql):
            try:
                Syntax(_connection()).parse(f"f({name})")
            except PredicateError:
                return (
                    f'{name} is a word of SQL: call the field otherwise (`its_{name}: {name}`), or write it as "{name}"'
                )
    return None


def _refused(error: duckdb.Error, expression: Expression, columns: dict[str, str]) -> MappingError:
    """What DuckDB says, in words for who writes a mapping: mostly a name is misspelled, or a text is not in quotes."""
    first = str(error).split("\n", 1)[0]
    if (unknown := re.search('Referenced column "([^"]+)" not found', first)) is None:
        return MappingError(f"{first} in {expression.sql}", where=expression.place)
    fields = [name for name in columns if not name.startswith("_")]
    hint = nearest(unknown[1], fields) or f"known: {', '.join(fields)}"
    text = f"; a text is written \"'{unknown[1]}'\"" if expression.sql == unknown[1] else ""
    return MappingError(f'"{unknown[1]}" is no field of the record', where=expression.place, hint=hint + text)


def _refuse_volatile(tree: Any, expression: Expression) -> None:
    if isinstance(tree, dict):
        name = tree.get("function_name")
        if name in _volatile():
            raise MappingError(
                f"{name} is not a function of the record alone", where=expression.place, hint="use arrived for now"
            )
        if tree.get("class") == "SUBQUERY":
            raise MappingError("a subquery has no place in a mapping", where=expression.place)
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            _refuse_volatile(item, expression)
