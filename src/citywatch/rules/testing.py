"""Runs the tests inside rules on the engine step, each from nothing, with the default settings.

A rule is tested as if it stood alone: one that is only the base of a correlation, or deprecated, raises its alerts.
The clock ends at the last receipt or tick of the test; ticks before it change nothing, since alerts are a function of
the events and the clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.step import Step
from citywatch.errors import RuleError
from citywatch.event import BY_NAME, FIELDS, batch_schema
from citywatch.rules.model import Rule, Ruleset, RuleTest, Selection, Status
from citywatch.rules.passed import Passed, name_of
from citywatch.rules.zones import zones_at
from citywatch.settings import SECOND, Settings

_SETTINGS = Settings()
_PAYLOAD = frozenset(column.name for column in FIELDS)


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that a test expects or has raised. `at`: first_seen, µs after the start of the test."""

    at: int
    group: Mapping[str, Any]
    count: int | None

    def __str__(self) -> str:
        group = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in self.group.items())
        count = "" if self.count is None else f", count {self.count}"
        return f"at {span(self.at)}{f' for {{{group}}}' if group else ''}{count}"

    def allows(self, other: Raised) -> bool:
        """Whether `other` is what this one expects."""
        group = all(other.group.get(name) == value for name, value in self.group.items())
        return self.at == other.at and group and self.count in {None, other.count}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one test; it passed when nothing is missing and nothing unexpected."""

    rule: Rule
    test: RuleTest
    missing: tuple[Raised, ...]
    unexpected: tuple[Raised, ...]

    @property
    def passed(self) -> bool:
        """Whether the test holds."""
        return not self.missing and not self.unexpected

    def error(self) -> RuleError:
        """The failure in words."""
        parts = [f"missing: an alert {alert}" for alert in self.missing]
        parts += [f"not expected: an alert {alert}" for alert in self.unexpected]
        said = f"test {self.test.name!r} of rule {self.rule.name!r} fails, {'; '.join(parts)}"
        return RuleError(said, where=self.test.place, hint="`citywatch rules explain` says why a rule fires")


def failures(ruleset: Ruleset) -> list[RuleError]:
    """Errors of the tests that fail; what has passed before in the same form is not run again."""
    passed = Passed()
    tested = [rule for rule in ruleset.rules if rule.tests]
    names = {rule.name: name_of(rule, ruleset) for rule in tested}
    fresh = [rule for rule in tested if names[rule.name] not in passed]
    failed: dict[str, list[RuleError]] = {rule.name: [] for rule in fresh}
    for outcome in outcomes(ruleset, fresh):
        if not outcome.passed:
            failed[outcome.rule.name].append(outcome.error())
    for name in (name for name, errors in failed.items() if not errors):
        passed.add(names[name])
    return [error for errors in failed.values() for error in errors]


def outcomes(ruleset: Ruleset, rules: Sequence[Rule]) -> Iterator[Outcome]:
    """Run the tests of `rules`, whose lists and zones are in `ruleset`."""
    if not rules:
        return
    with duckdb.connect(config={"threads": 1}) as con:
        for rule in rules:
            alone = replace(ruleset, rules=(replace(rule, alerts=True, status=Status.STABLE),))
            step = Step(con, alone, _SETTINGS)
            for test in rule.tests:
                yield _outcome(rule, test, list(_run(con, step.fork(), alone, test)))


def _outcome(rule: Rule, test: RuleTest, raised: Sequence[Raised]) -> Outcome:
    expected = [Raised(alert["at"], alert["group"], alert["count"]) for alert in test.expect]
    met = matched(expected, raised)
    return Outcome(
        rule,
        test,
        tuple(alert for i, alert in enumerate(expected) if i not in met),
        tuple(alert for i, alert in enumerate(raised) if i not in met.values()),
    )


def _run(con: duckdb.DuckDBPyConnection, step: Step, ruleset: Ruleset, test: RuleTest) -> Iterator[Raised]:
    """The alerts of a test, in the end; `step` has seen nothing yet."""
    batch, clock = batch_of(test, ruleset, default_type(ruleset.rules[0]))
    con.begin()
    try:
        facts = step.advance(batch, clock)
    finally:
        con.rollback()
    latest = {fact["id"]: fact for fact in facts.to_pylist()}
    for fact in sorted(latest.values(), key=lambda fact: (fact["first_seen"], fact["id"])):
        at = round(fact["first_seen"].timestamp() * SECOND) - test.start
        yield Raised(at, json.loads(fact["group"]), fact["count"])


def matched(expected: Sequence[Raised], raised: Sequence[Raised]) -> dict[int, int]:
    """A largest assignment expected -> raised in which each raised alert meets at most one expectation."""
    owner: dict[int, int] = {}

    def assign(e: int, tried: set[int]) -> bool:
        for r, alert in enumerate(raised):
            if r not in tried and expected[e].allows(alert):
                tried.add(r)
                if r not in owner or assign(owner[r], tried):
                    owner[r] = e
                    return True
        return False

    for e in range(len(expected)):
        assign(e, set())
    return {e: r for r, e in owner.items()}


def default_type(rule: Rule) -> str:
    """Type of a test event that names none: the first of the rule's, or of the first rule it names."""
    selection: Selection | None = rule.correlation.bases[0] if rule.correlation else rule.selection
    return selection.types[0] if selection and selection.types else "test.event"


def batch_of(test: RuleTest, ruleset: Ruleset, type_: str) -> tuple[pa.Table, int]:
    """(events as `event.batch_schema()`, clock in µs) of a test; copies of an event are left out, as at the intake."""
    clock = test.start
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    made = []
    for number, event in enumerate(test.events, 1):
        time = test.start + event["at"]
        received = test.start + event["received_at"] if event.get("received_at") is not None else time
        clock = max(clock, received)
        if not event["tick"]:
            made.append(_row(event, {"type": type_, "source": "test", "id": str(number)}, time, received, ruleset))
    for row in sorted(made, key=lambda row: (row["received_at"], row["time"], row["source"], row["id"])):
        rows.setdefault((row["source"], row["id"]), row)
    for seq, row in enumerate(rows.values()):
        row["seq"] = seq
    return pa.Table.from_pylist(list(rows.values()), schema=batch_schema()), clock


def _row(
    event: Mapping[str, Any], defaults: Mapping[str, str], time: int, received: int, ruleset: Ruleset
) -> dict[str, Any]:
    fields = {name: value for name, value in event.items() if name not in {"at", "tick", "received_at"}}
    known = {name: value for name, value in fields.items() if name in BY_NAME}
    payload = {name: value for name, value in fields.items() if name in _PAYLOAD or name not in BY_NAME}
    return {
        "zones": zones_at(ruleset.zones, known.get("lat"), known.get("lon")),
        "time_precision": "second",
        **defaults,
        **known,
        "time": time,
        "received_at": received,
        "late": received - time > _SETTINGS.lateness,
        "stale": received - time > _SETTINGS.stale,
        "backfill": False,
        "data": json.dumps(payload, ensure_ascii=False),
        "ident_hi": 0,
        "ident_lo": 0,
        "fingerprint": 0,
    }


def span(micros: int) -> str:
    """A duration as it is written in rules, in the largest unit that it fills."""
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if micros and micros % (size * SECOND) == 0:
            return f"{micros // (size * SECOND)}{unit}"
    return "0s" if micros == 0 else f"{micros / 1000:g}ms"
