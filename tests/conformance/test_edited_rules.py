"""Rules that change while a city is being watched, and come back as they were: what they say from then on.

A rule that is new, or that was away, reads what it missed in silence. From then on it says what it would have said had
it been there all along; rules that stay are not touched by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from citywatch.engine.embedded import Engine
from citywatch.mappings.parse import Parser
from tests.conformance import test_large
from tests.conformance.cases import Case, Document, Item, Said, ndjson
from tests.conformance.examples import document
from tests.conformance.loading import load, settings_of
from tests.conformance.test_host import END, _alerts
from tests.oracle import Alert, Settings, duration, evaluate, instant
from tests.unit.embedded.city import chunk

Edit = Callable[[Document], list[Document]]
Fact = tuple[Any, ...]

LONG = document(
    {
        "name": "long",
        "correlation": {"type": "event_count", "group-by": ["device_id"], "timespan": "1h", "condition": {"gte": 120}},
    }
)
"""A rule whose window reaches back further than that of all others; nobody edits it."""
RULES = [*test_large.rules(), LONG]
_LATEST = test_large.case(0).items[-1]["receivedat"]
ITEMS: list[Item] = [*test_large.case(0).items, {**END, "id": "end", "time": _LATEST, "receivedat": _LATEST}]
LEFT = 700
"""So many items come before the first edit."""
SPANS = {rule["name"]: duration(rule["correlation"]["timespan"]) for rule in RULES if "correlation" in rule}
BUCKETS = {**SPANS, "few": duration("10m")}
UNTOUCHED = {"long", "all"}


def away(_: Document) -> list[Document]:
    return []


def other_where(rule: Document) -> list[Document]:
    """The same question put otherwise: what was kept for it is of no use."""
    if "rules" in rule["correlation"]:
        return [rule]
    return [{**rule, "where": f"({rule.get('where', 'true')}) AND true"}]


def other_suppression(rule: Document) -> list[Document]:
    """Another version over the same base events."""
    return [{**rule, "suppression": {"duration": "7m"}}]


def _edited(edit: Edit) -> list[Document]:
    return [new for rule in RULES for new in (edit(rule) if rule["name"] in SPANS and rule != LONG else [rule])]


def _fact(alert: Said | Alert) -> Fact:
    return alert.rule, alert.group, alert.first_seen, alert.last_seen, alert.count, alert.evidence


@cache
def _expected() -> frozenset[Fact]:
    return frozenset(_fact(alert) for alert in evaluate(RULES, ITEMS, Settings(), None).alerts)


def _run(directory: Path, *parts: tuple[list[Document], Iterable[Item]]) -> set[Fact]:
    """What the last rules have said in the end: each part of the items comes to an engine that was started with its."""
    for number, (rules, items) in enumerate(parts):
        case = Case(tuple(rules), tuple(items))
        settings = settings_of(case)
        ruleset = load(case, directory / f"rules-{number}")
        with Engine(directory / "data", ruleset, settings) as host:
            host.submit(Parser(settings).parse(chunk(ndjson(case.items).splitlines())), "s")
            host.drain()
    versions = {rule.version for rule in ruleset.rules}
    return {_fact(alert) for alert in _alerts(directory / "data") if alert.rule_version in versions}


def _since(facts: Iterable[Fact], clock: int) -> set[Fact]:
    """Those of correlations whose bucket is open when the clock stands there, or opens later."""
    watermark = clock - Settings().lateness - Settings().disorder
    return {f for f in facts if f[0] in SPANS and f[2] // BUCKETS[f[0]] >= watermark // BUCKETS[f[0]]}


def _clock(items: Iterable[Item]) -> int:
    return max(instant(item["receivedat"]) for item in items)


@pytest.mark.parametrize("items", [8, 300])
@pytest.mark.parametrize("edit", [away, other_where, other_suppression])
def test_a_rule_that_is_taken_back_says_what_it_would_have_said_all_along(
    edit: Edit, items: int, tmp_path: Path
) -> None:
    """Whether it was away for a part of its windows, or for longer than all of them."""
    back = LEFT + items
    parts = (RULES, ITEMS[:LEFT]), (_edited(edit), ITEMS[LEFT:back]), (RULES, ITEMS[back:])
    found, wanted = _run(tmp_path, *parts), _since(_expected(), _clock(ITEMS[:back]))
    assert {f[0] for f in wanted} == SPANS.keys()
    assert _since(found, _clock(ITEMS[:back])) == wanted
    assert {f for f in found if f[0] in UNTOUCHED} == {f for f in _expected() if f[0] in UNTOUCHED}


def test_what_new_rules_find_in_the_past_is_true(tmp_path: Path) -> None:
    """Also where their reading of it begins, and where several ask for the same events."""
    found = _run(tmp_path, ([LONG], ITEMS[:LEFT]), (RULES, ITEMS[LEFT:]))
    correlations = {f for f in found if f[0] in SPANS}
    assert correlations <= _expected()
    assert _since(correlations, _clock(ITEMS[:LEFT])) == _since(_expected(), _clock(ITEMS[:LEFT]))
    assert {f for f in correlations if f[2] < _clock(ITEMS[:LEFT]) - 2 * duration("2m")}, "nothing of the past"
