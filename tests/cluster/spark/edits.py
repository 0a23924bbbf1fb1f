"""Rules that are edited while a city is being watched, and what is to come of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.spark import city
from tests.conformance.cases import Document, Item, Said, rule_file
from tests.conformance.examples import document
from tests.oracle import Alert, Settings, duration, evaluate, instant

RULES = [document(rule) for rule in yaml.safe_load_all(city._RULES)]
ITEMS: list[Item] = [json.loads(line) for line in city.events(4_000, plates=300) if line.endswith("}")]
HALF = len(ITEMS) // 2
ENDS: list[Item] = [json.loads(city.end([json.dumps(item) for item in ITEMS], number)) for number in range(2)]
"""For each partition of a topic one, so that the clock comes to where the last of the items was received."""
CHANGED = max(instant(item["receivedat"]) for item in ITEMS[:HALF])
Fact = tuple[Any, ...]


def edited(rule: Document) -> Document:
    """The same question put otherwise: what was kept for it is of no use to it."""
    alone = "rules" not in rule.get("correlation", {}) and rule["name"] not in ("hit", "often")
    return {**rule, "where": f"({rule.get('where', 'true')}) AND true"} if alone else rule


EDITED = [edited(rule) for rule in RULES]
ASKED = {rule["name"] for rule in EDITED if rule not in RULES} | {"temporal", "temporal_ordered", "absence"}
"""Rules whose matches are decided otherwise, those that name one among them."""
SPANS = {rule["name"]: duration(rule["correlation"]["timespan"]) for rule in RULES if "correlation" in rule}


def fact(alert: Said | Alert) -> Fact:
    return alert.rule, alert.group, alert.first_seen, alert.last_seen, alert.count, alert.evidence


def after_the_edit(facts: Iterable[Fact]) -> set[Fact]:
    """Those of edited rules of which no match can have come before the edit."""
    spans = {name: span for name, span in SPANS.items() if name in ASKED}
    return {f for f in facts if f[0] in spans and f[2] // spans[f[0]] * spans[f[0]] >= CHANGED}


def open_since(facts: Iterable[Fact], items: int) -> set[Fact]:
    """Those of correlations whose bucket is open when so many items are read, or opens later."""
    clock = max(instant(item["receivedat"]) for item in ITEMS[:items])
    watermark = clock - Settings().lateness - Settings().disorder
    return {f for f in facts if f[0] in SPANS and f[2] // SPANS[f[0]] >= watermark // SPANS[f[0]]}


@cache
def expected(*, edited: bool = True) -> frozenset[Fact]:
    """What the contract says of the newer rules, or of the older ones, had they been there from the beginning."""
    items = [*ITEMS[: 2 * HALF], *ENDS]
    return frozenset(fact(alert) for alert in evaluate(EDITED if edited else RULES, items, Settings(), None).alerts)


def written(rules: Sequence[Document], directory: Path) -> Path:
    """A directory of these rules."""
    directory.mkdir()
    (directory / "rules.yaml").write_text(rule_file(rules), "utf-8")
    return directory
