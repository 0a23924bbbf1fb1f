"""Predicates: parsed, judged and printed by the same DuckDB that runs them.

The tree is checked against an allow-list, `$parameters`, `LIST` and `IN_ZONE` are replaced exactly where they were
meant, and what is left is bound against the columns of an event, so that a wrong type is found when a rule is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from citywatch.event import BY_NAME, COLUMNS, Column
from citywatch.rules.functions import FUNCTIONS
from citywatch.rules.lists import Lists
from citywatch.rules.problems import nearest
from citywatch.rules.syntax import (
    PredicateError,
    Syntax,
    Tree,
    is_call,
    literal,
    located,
    moved,
    offset_of,
    postorder,
    quoted,
    with_children,
)

_OPERATORS = frozenset(
    "OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_NULLIF OPERATOR_TRY COMPARE_IN "
    "COMPARE_NOT_IN ARRAY_EXTRACT ARRAY_SLICE ARRAY_CONSTRUCTOR".split()
)
_CLASSES = frozenset("COLUMN_REF CONSTANT COMPARISON CONJUNCTION OPERATOR BETWEEN CASE CAST TYPE FUNCTION".split())
_REFUSED = {
    "SUBQUERY": "a sub-query is not allowed here",
    "WINDOW": "a window function is not allowed here",
    "STAR": "* is not allowed here",
    "PARAMETER": "a parameter is written $name",
    "LAMBDA": "a lambda is not allowed here",
    "COLLATE": "a collation is not allowed here",
}
_USE_INSTEAD = {
    "SUBQUERY": "x IN LIST('name') asks a list",
    "WINDOW": "several events are the business of a correlation",
    "LAMBDA": "put data->'name' in brackets; for a member of a member write data->>'$.a.b'",
    "COLLATE": "text is ordered by code point",
}
_CLOCKS = frozenset(
    "now today current_date current_time current_timestamp localtime localtimestamp get_current_timestamp "
    "transaction_timestamp get_current_time random uuid gen_random_uuid setseed age".split()
)
_ESCAPES = frozenset("like_escape not_like_escape ilike_escape not_ilike_escape".split())
"""A pattern or an escape that is wrong in one event stops the whole statement: TRY does not catch it."""
_AGGREGATES = frozenset(
    "count count_star sum avg min max median mode list array_agg string_agg first last any_value".split()
)


TRIED = "TRY(CASE WHEN ({}) THEN 1 ELSE 0 END)"
"""SQL of a predicate as events are asked: NULL where it fails, which is not true."""

_PART = "TRY(CASE WHEN ({}) IS NULL THEN 1 ELSE 0 END)"


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate ready to run; see `model.Selection` for `sql` and `memberships`.

    `source` is the author's text with parameters filled in, `parameters` are the names that it uses. `tree` is the one
    that `sql` prints, its places are those of `text`, the author's.
    """

    sql: str
    memberships: tuple[tuple[str, str], ...]
    source: str
    parameters: frozenset[str]
    text: str = field(repr=False)
    tree: Tree = field(repr=False)


class Compiler:
    """Turns the text of predicates into `Predicate`s. `zones` are the names that IN_ZONE may use."""

    def __init__(self, lists: Lists, zones: Iterable[str]) -> None:
        self._lists = lists
        self._zones = frozenset(zones)
        self._con = duckdb.connect(config={"threads": 1})
        self._con.execute("SET TimeZone = 'UTC'")
        self.syntax = Syntax(self._con)
        columns = ", ".join(f"CAST(NULL AS {c.sql}) AS {quoted(c.name)}" for c in COLUMNS)
        self._con.execute(f"CREATE TABLE event AS SELECT {columns}, CAST(NULL AS JSON) AS data LIMIT 0")

    def compile(self, text: str, parameters: Mapping[str, str]) -> Predicate:
        """Compile one; `parameters` are SQL literals by name. Raises PredicateError; types are left to `check`."""
        rewriting = _Rewriting(self, text, parameters)
        made = rewriting.rewrite(self.syntax.parse(text))
        return Predicate(
            sql=self.syntax.print([made])[0],
            memberships=tuple(rewriting.memberships.items()),
            source=rewriting.source(),
            parameters=frozenset(rewriting.used),
            text=text,
            tree=made,
        )

    def check(self, predicates: Sequence[Predicate]) -> list[PredicateError | None]:
        """Bind each against a relation of events that is empty: what is not true or false is an error.

        All are bound in one statement; only when that fails is each looked at alone.
        """
        if not predicates:
            return []
        try:
            if all(kind == "BOOLEAN" for kind in self._types(predicates)):
                self._plan(predicates, TRIED)
                return [None] * len(predicates)
        except duckdb.Error:
            pass  # found again, with its place, by the look at each alone
        return [self._check_alone(predicate) for predicate in predicates]

    def _check_alone(self, predicate: Predicate) -> PredicateError | None:
        try:
            (kind,) = self._types([predicate])
            if kind == "BOOLEAN":
                self._plan([predicate], TRIED)
        except duckdb.Error as error:
            return PredicateError(_words(error), self._culprit(predicate))
        if kind == "BOOLEAN":
            return None
        return PredicateError(f"is {kind}, a predicate is true or false", hint="compare it with something")

    def _types(self, predicates: Sequence[Predicate]) -> list[str]:
        """SQL type of each, by binding them."""
        return [str(kind) for kind in self._asked(predicates, "({})").types]

    def _plan(self, predicates: Sequence[Predicate], form: str) -> None:
        """Plan them as they are run: what names no field is computed then, and its errors stop the whole statement."""
        self._asked(predicates, form).fetchall()

    def _asked(self, predicates: Sequence[Predicate], form: str) -> duckdb.DuckDBPyRelation:
        """`form` of each, of events of which there are none."""
        memberships = dict(pair for p in predicates for pair in p.memberships)
        self._lists.create_empty(self._con)
        inner = ", ".join(["*", *(f"{sql} AS {quoted(name)}" for name, sql in memberships.items())])
        outer = ", ".join(f"{form.format(p.sql)} AS p{i}" for i, p in enumerate(predicates))
        return self._con.sql(f"SELECT {outer} FROM (SELECT {inner} FROM event)")

    def _culprit(self, predicate: Predicate) -> int:
        """Where the smallest part stands that cannot be bound: found by binding the parts, smallest first."""
        parts = [part for part in postorder(predicate.tree) if located(part)]
        for part, text in zip(parts, self.syntax.print(parts), strict=True):
            try:
                self._plan([replace(predicate, sql=text)], _PART)
            except duckdb.Error:
                return offset_of(predicate.text, part)
        return 0

    def membership(self, operand: Tree, name: str) -> tuple[str, str]:
        """(column, expression) of `operand IN LIST('name')`."""
        (text,) = self.syntax.print([operand])
        column = _known(operand)
        table, value = self._lists.table(name, column)
        tried = text if column else f"TRY({text})"
        found = f"{tried} IN (SELECT {value} FROM {quoted(table)})"
        if self._lists.bounded(name):
            found = (
                f"EXISTS (SELECT 1 FROM (SELECT {value} AS list_value, valid_from AS list_from, valid_until AS "
                f"list_until FROM {quoted(table)}) WHERE list_value = {tried} AND (list_from IS NULL OR "
                f'list_from <= "time") AND (list_until IS NULL OR "time" < list_until))'
            )
        sql = f"CASE WHEN {tried} IS NOT NULL THEN {found} END"
        return f"in_list_{hashlib.sha256(sql.encode()).hexdigest()[:12]}", sql

    def list_names(self) -> frozenset[str]:
        """Names that LIST may use."""
        return self._lists.names()

    def zone_names(self) -> frozenset[str]:
        """Names that IN_ZONE may use."""
        return self._zones


class _Rewriting:
    """One pass over a tree that refuses what is not allowed and replaces what is ours."""

    def __init__(self, compiler: Compiler, text: str, parameters: Mapping[str, str]) -> None:
        self._compiler = compiler
        self._text = text
        self._parameters = parameters
        self._edits: dict[int, str] = {}
        self.memberships: dict[str, str] = {}
        self.used: set[str] = set()

    def rewrite(self, node: Tree) -> Tree:
        """The tree to run."""
        kind = node["class"]
        if kind == "PARAMETER":
            return self._parameter(node)
        if kind == "COLUMN_REF":
            self._column(node)
        elif kind == "LAMBDA" and _member_of_data(node):
            return node
        elif kind == "FUNCTION":
            if replacement := self._ours(node):
                return replacement
            self._function(node)
        elif kind not in _CLASSES or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
            raise self._refusal(_REFUSED.get(kind, f"{node['type']} is not allowed here"), node, _USE_INSTEAD.get(kind))
        return with_children(node, self.rewrite)

    def source(self) -> str:
        """The author's text with parameters filled in."""
        text = self._text
        for offset, name in sorted(self._edits.items(), reverse=True):
            text = text[:offset] + self._parameters[name] + text[offset + len(name) + 1 :]
        return text.strip()

    def _refusal(self, what: str, node: Tree, hint: str | None = None) -> PredicateError:
        return PredicateError(what, offset_of(self._text, node), hint)

    def _parameter(self, node: Tree) -> Tree:
        name = node["identifier"]
        if name not in self._parameters:
            known = nearest(name, self._parameters) if self._parameters else f"write params: {{{name}: ...}}"
            raise self._refusal(f"unknown parameter ${name}", node, known)
        self.used.add(name)
        self._edits[offset_of(self._text, node)] = name
        return moved(self._compiler.syntax.parse(self._parameters[name]), node["query_location"])

    def _column(self, node: Tree) -> None:
        name = ".".join(node["column_names"])
        if name.lower() in _CLOCKS and name.lower() not in BY_NAME:
            raise self._refusal(
                f"{name} is not allowed here", node, "the answer must depend on the event alone: use time"
            )
        if name.lower() not in BY_NAME and name.lower() != "data":
            hint = nearest(name, [*BY_NAME, "data"]) or f"for a member of the payload write data->>'{name}'"
            raise self._refusal(f"unknown column {name!r}", node, hint)

    def _function(self, node: Tree) -> None:
        name = node["function_name"].lower()
        if name in _CLOCKS:
            raise self._refusal(
                f"{name} is not allowed here", node, "the answer must depend on the event alone: use time"
            )
        if name in _AGGREGATES or node.get("distinct") or "filter" in node or node["order_bys"].keys() != {"type"}:
            raise self._refusal(f"{name} is an aggregate", node, "to count events, write a correlation")
        if name in _ESCAPES:
            raise self._refusal("ESCAPE is not allowed here", node, "write contains, starts_with or regexp_matches")
        if name not in FUNCTIONS:
            raise self._refusal(f"unknown function {name!r}", node, nearest(name, FUNCTIONS))

    def _ours(self, node: Tree) -> Tree | None:
        """What stands for `x IN LIST('name')` or `IN_ZONE('name')`; None for other functions."""
        arguments = [argument["expression"] for argument in node.get("arguments", [])]
        name = node["function_name"].lower()
        if name == "in_zone":
            return self._zone(node, arguments)
        if name == "contains" and len(arguments) == 2 and is_call(arguments[0], "list"):
            return self._membership(arguments[0], arguments[1])
        if name == "list":
            raise self._refusal("LIST stands only after IN", node, "write plate IN LIST('name')")
        return None

    def _zone(self, node: Tree, arguments: list[Tree]) -> Tree:
        name = self._name(node, arguments, self._compiler.zone_names(), "zone", "IN_ZONE('name')")
        return moved(self._compiler.syntax.parse(f"list_contains(zones, {literal(name)})"), node["query_location"])

    def _membership(self, node: Tree, operand: Tree) -> Tree:
        arguments = [argument["expression"] for argument in node.get("arguments", [])]
        name = self._name(node, arguments, self._compiler.list_names(), "list", "LIST('name')")
        rewritten = self.rewrite(operand)
        if any(_is_membership(part) for part in postorder(rewritten)):
            raise self._refusal("one LIST inside another", node)
        try:
            column, sql = self._compiler.membership(rewritten, name)
        except ValueError as error:
            raise self._refusal(str(error), node) from error
        self.memberships[column] = sql
        return {
            "class": "COLUMN_REF",
            "type": "COLUMN_REF",
            "column_names": [column],
            "query_location": node["query_location"],
        }

    def _name(self, node: Tree, arguments: list[Tree], known: frozenset[str], what: str, form: str) -> str:
        text = arguments[0].get("literal", {}) if len(arguments) == 1 else {}
        if text.get("kind") != "STRING":
            raise self._refusal(f"a {what} is named by one text in quotes", node, f"write {form}")
        name = str(text["text"])
        if name not in known:
            folder = "lists/*.csv" if what == "list" else "zones/*.geojson"
            raise self._refusal(
                f"unknown {what} {name!r}", node, nearest(name, known) or f"{what}s are read from {folder}"
            )
        return name


def _is_membership(node: Tree) -> bool:
    return node["class"] == "COLUMN_REF" and str(node["column_names"][0]).startswith("in_list_")


def _member_of_data(node: Tree) -> bool:
    """`data->'name'`: DuckDB parses the arrow as a lambda and makes it JSON access when it binds."""
    left, right = node.get("lhs", {}), node.get("expr", {})
    of_data = left.get("class") == "COLUMN_REF" and [n.lower() for n in left["column_names"]] == ["data"]
    return bool(of_data and right.get("class") == "CONSTANT")


def _known(operand: Tree) -> Column | None:
    """The known field that an operand is, when it is nothing else."""
    return BY_NAME.get(str(operand["column_names"][0]).lower()) if operand["class"] == "COLUMN_REF" else None


def _words(error: duckdb.Error) -> str:
    """The first sentence of what DuckDB says."""
    first = str(error).split("\n", 1)[0]
    return first.split(": ", 1)[-1].removesuffix(".")
