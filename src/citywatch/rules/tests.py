"""Tests inside rules: read and checked here, run by `testing`."""

from __future__ import annotations

from typing import Any

from citywatch.errors import Place
from citywatch.event import BY_NAME, Column
from citywatch.rules.document import Mapping, Node, Scalar, Sequence
from citywatch.rules.forms import Block
from citywatch.rules.model import Rule, RuleTest, Status
from citywatch.rules.problems import Problems
from citywatch.rules.values import cast, instant
from citywatch.settings import duration

START = instant("2026-01-05T12:00:00Z")
"""Time of `at: 0s`, where a test sets no other."""

_DECIDED = {"time": "write at", "late": "it follows from received_at", "ident": "it follows from source and id"}


def read_tests(block: Block, rule: Rule, problems: Problems) -> tuple[RuleTest, ...]:
    """The tests of a rule; what is wrong with them is noted."""
    tests: list[Block] = [test for test in block["tests"] or () if test is not None]
    if rule.status not in {Status.EXPERIMENTAL, Status.DEPRECATED}:
        _check_enough(tests, block.place("tests"), problems)
    return tuple(_Reader(rule, test, problems).test() for test in tests)


def _check_enough(tests: list[Block], place: Place, problems: Problems) -> None:
    fires = [bool(test["expect"]) for test in tests]
    for wanted, words in ((True, "fires"), (False, "does not fire")):
        if wanted not in fires:
            problems.add(f"a test in which the rule {words} is missing", place, "or write status: experimental")


class _Reader:
    """One test of one rule."""

    def __init__(self, rule: Rule, block: Block, problems: Problems) -> None:
        self._rule = rule
        self._block = block
        self._problems = problems
        self._start = (
            START if block["start"] is None else self._or_none(instant, block["start"], block.place("start")) or START
        )

    def test(self) -> RuleTest:
        block = self._block
        defaults: Block | None = block["defaults"]
        common = self._fields(defaults.node) if defaults else {}
        return RuleTest(
            name=block["name"] or "",
            start=self._start,
            events=tuple(self._event(event, common) for event in block["events"] or () if event is not None),
            expect=tuple(self._expected(alert) for alert in block["expect"] or () if alert is not None),
            place=block.node.place,
        )

    def _event(self, event: Block, common: dict[str, Any]) -> dict[str, Any]:
        made = {"at": event["at"] or 0, "tick": bool(event["tick"])}
        if made["tick"]:
            for key in event.values.keys() - {"at", "tick"}:
                self._problems.add("a tick moves the clock only", event.place(key))
            return made
        made |= common | self._fields(event.node)
        if "received_at" in made:
            made["received_at"] = self._received(made["received_at"], event.place("received_at"))
        return made

    def _received(self, text: Any, place: Place) -> int:
        """µs after the start of the test."""
        try:
            return duration(text)
        except (ValueError, AttributeError):
            pass  # then it is an instant, or nothing
        made = self._or_none(lambda t: instant(t) - self._start, str(text), place)
        return made if isinstance(made, int) else 0

    def _fields(self, node: Mapping) -> dict[str, Any]:
        """Fields by name, the known ones cast as in an event."""
        fields: dict[str, Any] = {}
        for name, value in node.items.items():
            place = node.places[name]
            if name == "data" and isinstance(value, Mapping):
                fields |= self._fields(value)
            elif name in _DECIDED or (name in BY_NAME and BY_NAME[name].derived):
                hint = _DECIDED.get(name, "it follows from the time")
                self._problems.add(f"{name!r} cannot be given in a test", place, hint)
            elif name in BY_NAME and name != "received_at":
                fields[name] = self._or_none(lambda v, n=name: cast(BY_NAME[n], v), given(value, BY_NAME[name]), place)
            elif name not in ("at", "tick"):
                fields[name] = value.value
        return fields

    def _expected(self, alert: Block) -> dict[str, Any]:
        made: dict[str, Any] = {"at": alert["at"] or 0, "count": alert["count"], "group": {}}
        group: Block | None = alert["group"]
        for name, node in (group.node.items if group else {}).items():
            column = self._group_columns().get(name)
            if column is None:
                known = ", ".join(self._rule.group_names) or "none"
                self._problems.add(
                    f"{name!r} is not in the rule's key",
                    group.place(name) if group else alert.node.place,
                    f"it has: {known}",
                )
            else:
                made["group"][name] = self._or_none(lambda v, c=column: cast(c, v), given(node, column), node.place)
        return made

    def _group_columns(self) -> dict[str, Column]:
        """The field behind each name of the key."""
        correlation = self._rule.correlation
        fields = correlation.group_by[0] if correlation else self._rule.group_names
        return {name: BY_NAME[field] for name, field in zip(self._rule.group_names, fields, strict=True)}

    def _or_none(self, change: Any, value: Any, place: Place) -> Any:
        try:
            return change(value)
        except ValueError as error:
            self._problems.add(str(error), place)
            return None


def given(node: Node, column: Column) -> Any:
    """What an author meant for a field: in a text field, `0123` and `1e5` are the text as it stands."""
    if column.sql == "VARCHAR" and isinstance(node, Scalar) and node.value is not None:
        return node.text
    if column.sql.endswith("[]") and isinstance(node, Sequence):
        return [item.text if isinstance(item, Scalar) and item.value is not None else item.value for item in node.items]
    return node.value
