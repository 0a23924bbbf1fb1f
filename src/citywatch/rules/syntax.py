"""DuckDB's own parse trees: text in, JSON tree out, and back.

Judging the tree that DuckDB made means that no second parser can understand a predicate otherwise than the engine does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb

Tree = dict[str, Any]

_PREFIX = "SELECT "
_NOWHERE = 1 << 63
_LONGEST = 100_000
_STATEMENT_KEYS = {"type", "cte_map", "select_list", "from_table", "aggregate_handling"}


class PredicateError(Exception):
    """A predicate is refused. `offset` is the character of its text at which the cause stands."""

    def __init__(self, what: str, offset: int = 0, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset
        self.hint = hint


class Syntax:
    """Parses and prints expressions on a connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def parse(self, text: str) -> Tree:
        """The parse tree of one expression."""
        if len(text) > _LONGEST:
            raise PredicateError(f"has {len(text):,} characters, a predicate has at most {_LONGEST:,}")
        if "\x00" in text:
            raise PredicateError("has a NUL character", text.index("\x00"))
        ((answer,),) = self._con.execute(
            "SELECT json_serialize_sql(CAST(? AS VARCHAR), skip_null := true, skip_empty := true)",
            [f"{_PREFIX}{text}\n"],
        ).fetchall()
        tree = json.loads(answer)
        if tree["error"]:
            position = int(tree.get("position", 0) or 0)
            raise PredicateError(f"not a SQL expression: {tree['error_message']}", characters(text, position))
        return _expression(tree)

    def print(self, trees: Sequence[Tree]) -> list[str]:
        """The text of each tree."""
        statements = [json.dumps(_statement(tree)) for tree in trees]
        rows = self._con.execute(
            "SELECT json_deserialize_sql(CAST(s AS JSON)) FROM (SELECT unnest(?) AS s)", [statements]
        ).fetchall()
        return [str(text).removeprefix(_PREFIX) for (text,) in rows]


def literal(value: str | float | bool) -> str:
    """A value as a SQL literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"({value})" if value < 0 else str(value)


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def with_children(node: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """A copy of the node whose expressions are changed ones."""

    def visit(value: Any) -> Any:
        if isinstance(value, list):
            return [visit(item) for item in value]
        if isinstance(value, dict):
            return change(value) if "class" in value else {key: visit(item) for key, item in value.items()}
        return value

    return {key: visit(value) for key, value in node.items()}


def moved(node: Tree, location: int) -> Tree:
    """A tree from elsewhere, put at a place of this text."""
    return {**with_children(node, lambda part: moved(part, location)), "query_location": location}


def postorder(node: Tree) -> Iterator[Tree]:
    """All expressions of a tree, parts before wholes."""
    parts: list[Tree] = []

    def collect(part: Tree) -> Tree:
        with_children(part, collect)
        parts.append(part)
        return part

    collect(node)
    return iter(parts)


def conjuncts(node: Tree) -> list[Tree]:
    """The parts that AND joins at the top."""
    if node["type"] != "CONJUNCTION_AND":
        return [node]
    return [part for child in node["children"] for part in conjuncts(child)]


def located(node: Tree) -> bool:
    """Whether it is an expression of its own with a place in the text."""
    return node["class"] not in {"TYPE", "LAMBDA"} and 0 < node.get("query_location", _NOWHERE) < _NOWHERE


def offset_of(text: str, node: Tree) -> int:
    """Where a node stands: its own place, or else the first of its parts that has one."""
    places = [n["query_location"] for n in [node, *postorder(node)] if 0 < n.get("query_location", _NOWHERE) < _NOWHERE]
    return characters(text, places[0]) if places else 0


def is_call(node: Tree, name: str) -> bool:
    """Whether it calls the function."""
    return node["class"] == "FUNCTION" and str(node["function_name"]).lower() == name


def bare(text: str) -> str:
    """A printed expression without the brackets around all of it."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and index < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def characters(text: str, position: int) -> int:
    """Offset in characters of a byte position that the parser gives."""
    return len(text.encode()[: max(0, position - len(_PREFIX))].decode(errors="ignore"))


def _expression(tree: Tree) -> Tree:
    """The only expression of a statement that is nothing but `SELECT expression`."""
    statements = tree["statements"]
    node = statements[0]["node"] if statements else {}
    alone = len(statements) == 1 and node.get("type") == "SELECT_NODE" and len(node["select_list"]) == 1
    if not alone or not node.keys() <= _STATEMENT_KEYS or node["cte_map"] or node["from_table"]["type"] != "EMPTY":
        raise PredicateError("not one SQL expression", hint="what stands after WHERE, without the word itself")
    found: Tree = node["select_list"][0]
    if found.pop("alias", None):
        raise PredicateError("not one SQL expression", hint="an operator is missing between two words")
    return found


def _statement(tree: Tree) -> Tree:
    node: Tree = {
        "type": "SELECT_NODE", "modifiers": [], "cte_map": {"map": []}, "select_list": [tree], "from_table": {
            "type": "EMPTY", "alias": "", "sample": None, "query_location": (1 << 64) - 1},
        "where_clause": None, "group_expressions": [], "group_sets": [],
        "aggregate_handling": "STANDARD_HANDLING", "having": None, "sample": None, "qualify": None,
    }  # fmt: skip
    return {"error": False, "statements": [{"node": node}]}
