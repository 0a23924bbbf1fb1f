"""The rules that are shipped: what an operator needs is there, and they do what they say."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from citywatch.rules.load import load_rules, shipped
from citywatch.rules.model import CorrelationType, Rule, Selection, Status
from citywatch.rules.testing import outcomes
from citywatch.settings import Settings
from citywatch.sources.simulator import geography

RULESET = load_rules([shipped()], Settings(), run_tests=False)
ALERTING = [rule for rule in RULESET.rules if rule.alerts]
IGNORED = re.compile("alias|query_location")
"""Of a parsed predicate: how it was written."""
INHERITED = {"prestacop_alert", "seed_dangerosity"}


def named(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", ALERTING, ids=named)
def test_every_test_inside_a_rule_holds(rule: Rule) -> None:
    assert [str(outcome.error()) for outcome in outcomes(RULESET, [rule]) if not outcome.passed] == []


def test_every_type_of_correlation_is_used() -> None:
    assert {rule.correlation.type for rule in ALERTING if rule.correlation} == set(CorrelationType)


def test_the_alerts_of_the_older_systems_are_kept_and_call_nobody() -> None:
    assert {rule.name for rule in ALERTING if rule.status is Status.TEST} == INHERITED
    assert all(rule.status is Status.STABLE for rule in ALERTING if rule.name not in INHERITED)


def _form(node: Any) -> Any:
    """A parsed predicate without its constants: one of several values is a value, and both sides of AND are alike."""
    match node:
        case {"class": "CONSTANT"}:
            return "constant"
        case {"type": "COMPARE_IN", "children": [value, *_]}:
            return {"class": "COMPARISON", "type": "COMPARE_EQUAL", "left": _form(value), "right": "constant"}
        case dict():
            return {name: _form(part) for name, part in node.items() if not IGNORED.match(name)}
        case list():
            return sorted(map(_form, node), key=json.dumps)
    return node


def _what_it_looks_at(selection: Selection) -> object:
    """Types and predicate of a selection, without constants and without the names of lists."""
    predicate, lists = selection.predicate or "true", []
    for column, expression in selection.memberships:
        predicate = predicate.replace(column, "in_list")
        lists.append(re.sub(r'"list_\w+"', "list", expression))
    with duckdb.connect() as con:
        asked = [f"SELECT {predicate}"]
        ((text,),) = con.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", asked).fetchall()
    return sorted(selection.types), _form(json.loads(text)["statements"]), lists


def _what_it_says(rule: Rule) -> str:
    """A rule without its name, its level, its suppression, and all numbers, durations and texts."""
    if rule.selection:
        return json.dumps(["plain", _what_it_looks_at(rule.selection)])
    found = rule.correlated
    looks = [_what_it_looks_at(base) for base in found.bases]
    return json.dumps([found.type, looks, found.group_by, found.field, [how for how, _ in found.condition]])


def test_there_are_24_stable_rules_and_no_two_differ_only_in_constants() -> None:
    said: dict[str, list[str]] = {}
    for rule in ALERTING:
        if rule.status is Status.STABLE:
            said.setdefault(_what_it_says(rule), []).append(rule.name)
    assert [names for names in said.values() if len(names) > 1] == []
    assert len(said) >= 24


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        ("label = 'a' AND confidence >= 0.5", "confidence >= 7 AND label IN ('b', 'c')", True),
        ("label = 'a' AND confidence >= 0.5", "label = 'a' AND confidence > 0.5", False),
        ("label = 'a' AND confidence >= 0.5", "label = 'a'", False),
        ("list_contains(zones, 'a')", "list_contains(zones, 'b')", True),
    ],
)
def test_what_differs_only_in_constants_is_seen(one: str, two: str, alike: bool) -> None:
    forms = [_what_it_looks_at(Selection((), where)) for where in (one, two)]
    assert (forms[0] == forms[1]) is alike


@pytest.mark.parametrize("rule", ALERTING, ids=named)
def test_a_rule_stands_in_the_file_of_its_name(rule: Rule) -> None:
    assert Path(rule.place.file).stem == rule.name


@pytest.mark.parametrize("rule", ALERTING, ids=named)
def test_a_rule_tells_its_operator_what_it_is_and_what_to_do(rule: Rule) -> None:
    assert len(rule.description.split()) > 10
    assert len(rule.runbook.split()) > 8
    assert rule.falsepositives
    assert rule.tags
    assert rule.close_reasons
    assert not rule.title.endswith(".")


@pytest.mark.parametrize("rule", ALERTING, ids=named)
def test_a_rule_has_tests_at_its_edges(rule: Rule) -> None:
    assert len([test for test in rule.tests if test.expect]) >= 1
    assert len([test for test in rule.tests if not test.expect]) >= 2


def test_a_rule_that_calls_somebody_never_looks_at_age_or_gender() -> None:
    private = re.compile(r"\b(age|gender|first_name|last_name|dangerosity)\b")
    for file in shipped().glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text("utf-8")):
            if document["status"] != "test":
                assert not private.search(document.get("where", ""))


def test_the_threshold_of_the_older_score_can_be_set() -> None:
    settings = Settings(params={"seed_dangerosity": {"threshold": 70}})
    rule = load_rules([shipped()], settings, run_tests=False)["seed_dangerosity"]
    assert "70" in str(rule.selection.predicate if rule.selection else "")
    assert rule.version != RULESET["seed_dangerosity"].version


def test_ids_are_different() -> None:
    ids = [d["id"] for file in shipped().glob("*.yaml") for d in yaml.safe_load_all(file.read_text("utf-8"))]
    assert len(ids) == len(set(ids)) == len(RULESET.rules)


def test_the_zones_are_those_of_the_simulated_city() -> None:
    assert json.loads((shipped() / "zones" / "city.geojson").read_text("utf-8")) == geography.zones()
    assert set(RULESET.zones) == {"school", "transit", "restricted"}


def test_each_school_zone_holds_one_plate_reader() -> None:
    from shapely import Point

    places = [geography.anpr_place(reader) for reader in range(geography.ANPR_ROWS * geography.ANPR_COLUMNS)]
    points = [Point(geography.longitude(place), geography.latitude(place)) for place in places]
    assert sum(RULESET.zones["school"].covers(point) for point in points) == len(geography.SCHOOLS)


def test_no_plate_is_listed_twice() -> None:
    rows = list(csv.DictReader((shipped() / "lists" / "stolen.csv").read_text("utf-8").splitlines()))
    assert len({row["value"] for row in rows}) == len(rows) > 60
    assert all(row["note"] for row in rows)
