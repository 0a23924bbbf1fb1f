"""`where`: a small part of SQL with three truth values (True, False, None = unknown)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.oracle.events import Event, Settings, cast, instant, member

Value = Callable[[Event], Any]

TOKEN = re.compile(r"\s*(?:(\d+\.\d+|\d+)|'((?:[^']|'')*)'|(\$?\w+)|(->>|<=|>=|<>|!=|[=<>(),-]))", re.ASCII)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def predicate(where: str | None, settings: Settings, params: dict[str, Any] | None = None) -> Callable[[Event], bool]:
    """Tells of an event whether the predicate is true of it; unknown is not true, absent is true."""
    if where is None:
        return lambda event: True
    value = _Parser(where, settings, params or {}).parse()
    return lambda event: value(event) is True


class _Parser:
    """OR binds weakest, then AND, NOT, tests."""

    def __init__(self, text: str, settings: Settings, params: dict[str, Any]) -> None:
        self.tokens = _tokens(text)
        self.settings = settings
        self.params = params

    def parse(self) -> Value:
        value = self.disjunction()
        if self.tokens:
            raise SyntaxError(f"left over: {self.tokens}")
        return value

    def take(self, *wanted: str) -> str | None:
        if self.tokens and self.tokens[0][0] in ("word", "sign") and self.tokens[0][1].upper() in wanted:
            return str(self.tokens.pop(0)[1].upper())
        return None

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise SyntaxError(f"{wanted} expected, not {self.tokens[:1]}")

    def disjunction(self) -> Value:
        left = self.conjunction()
        while self.take("OR"):
            left = _or(left, self.conjunction())
        return left

    def conjunction(self) -> Value:
        left = self.negation()
        while self.take("AND"):
            left = _and(left, self.negation())
        return left

    def negation(self) -> Value:
        return _not(self.negation()) if self.take("NOT") else self.test()

    def test(self) -> Value:
        column = self.tokens[0][1] if self.tokens else ""
        left = self.operand()
        if sign := self.take(*COMPARE):
            return _compare(sign, left, self.operand())
        if self.take("IS"):
            wanted = not self.take("NOT")
            self.need("NULL")
            return lambda event: (left(event) is None) is wanted
        negated = bool(self.take("NOT"))
        if self.take("BETWEEN"):
            low = self.operand()
            self.need("AND")
            test = _and(_compare(">=", left, low), _compare("<=", left, self.operand()))
        elif self.take("IN"):
            test = self.membership(column, left)
        else:
            return left
        return _not(test) if negated else test

    def membership(self, column: str, left: Value) -> Value:
        if self.take("LIST"):
            return _in_list(column, left, self.argument(), self.settings)
        self.need("(")
        test = _compare("=", left, self.operand())
        while self.take(","):
            test = _or(test, _compare("=", left, self.operand()))
        self.need(")")
        return test

    def argument(self) -> str:
        self.need("(")
        text = str(self.tokens.pop(0)[1])
        self.need(")")
        return text

    def operand(self) -> Value:
        if self.take("("):
            inner = self.disjunction()
            self.need(")")
            return inner
        if self.take("-"):
            number = self.operand()
            return lambda event: -number(event)
        if self.take("IN_ZONE"):
            name = self.argument()
            return lambda event: None if event.fields["zones"] is None else name in event.fields["zones"]
        return self.atom()

    def atom(self) -> Value:
        """A literal, a parameter, a member of `data` or a known field."""
        kind, token = self.tokens.pop(0)
        if kind == "literal":
            return lambda event: token
        if token.upper() in ("TRUE", "FALSE", "NULL"):
            constant = {"TRUE": True, "FALSE": False, "NULL": None}[token.upper()]
            return lambda event: constant
        if token.startswith("$"):
            parameter = self.params[token[1:]]
            return lambda event: parameter
        if token == "data" and self.take("->>"):
            name = self.tokens.pop(0)[1]
            return lambda event: _as_text(member(event.data, name))
        return lambda event: event.fields[token]


def _tokens(text: str) -> list[tuple[str, Any]]:
    tokens: list[tuple[str, Any]] = []
    text = text.strip()
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise SyntaxError(f"not understood: {text[at:]!r}")
        number, quoted, word, sign = found.groups()
        if number is not None:
            tokens.append(("literal", float(number) if "." in number else int(number)))
        elif quoted is not None:
            tokens.append(("literal", quoted.replace("''", "'")))
        else:
            tokens.append(("word", word) if word is not None else ("sign", sign))
        at = found.end()
    return tokens


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _and(left: Value, right: Value) -> Value:
    def both(event: Event) -> bool | None:
        values = (left(event), right(event))
        return False if False in values else None if None in values else True

    return both


def _or(left: Value, right: Value) -> Value:
    def either(event: Event) -> bool | None:
        values = (left(event), right(event))
        return True if True in values else None if None in values else False

    return either


def _not(inner: Value) -> Value:
    def negation(event: Event) -> bool | None:
        value = inner(event)
        return None if value is None else not value

    return negation


def _compare(sign: str, left: Value, right: Value) -> Value:
    def comparison(event: Event) -> bool | None:
        a, b = left(event), right(event)
        return None if a is None or b is None else COMPARE[sign](a, b)

    return comparison


def _in_list(column: str, left: Value, name: str, settings: Settings) -> Value:
    """Member when from <= time < until, an empty bound is open; list values are normalised as the field is."""

    def member(event: Event) -> bool | None:
        value = left(event)
        if value is None:
            return None
        return any(
            cast(column, row["value"]) == value
            and (not row.get("from") or instant(row["from"]) <= event.time)
            and (not row.get("until") or event.time < instant(row["until"]))
            for row in settings.lists[name]
        )

    return member
