"""What loads, and what the engine gets of it."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from citywatch.rules.document import parse_documents
from citywatch.rules.load import load_rules
from citywatch.rules.model import Rule
from citywatch.settings import HOUR, MINUTE, Settings
from tests.unit.rules.conftest import HEAD, OTHERS, Load

COUNT = "correlation: {type: event_count, rules: [base, other], group-by: [k], timespan: 1h, condition: {gte: 3}, aliases: {k: {base: plate, other: subject}}}\n"  # noqa: E501 - a case a line


def version(load: Load, body: str, settings: Settings | None = None) -> str:
    return load(body, settings=settings)["rule"].version


def test_a_rule_of_few_words_has_safe_defaults(load: Load) -> None:
    rule = load("where: value > 5")["rule"]
    assert (rule.status, rule.level, rule.suppression, rule.group_names) == (
        "experimental",
        "medium",
        0,
        ("source", "id"),
    )
    assert rule.selection and rule.selection.types == ()


def test_without_a_name_a_rule_is_called_as_its_file(directory: Path) -> None:
    (directory / "speeding.yaml").write_text(HEAD.replace("name: rule\n", ""))
    assert [rule.name for rule in load_rules([directory], Settings(), run_tests=False).rules] == ["speeding"]


def test_named_rules_become_the_bases_and_alert_no_more(load: Load) -> None:
    ruleset = load(COUNT + OTHERS)
    correlation = ruleset["rule"].correlation
    assert correlation
    assert correlation.base_names == ("base", "other")
    assert correlation.group_by == (("plate",), ("subject",))
    assert correlation.condition == (("gte", 3),)
    assert ruleset["rule"].suppression == HOUR
    assert not ruleset["base"].alerts
    assert load(COUNT.replace("timespan", "generate: true, timespan") + OTHERS)["base"].alerts


def test_an_alias_that_says_nothing_of_a_rule_means_the_field_of_that_name(load: Load) -> None:
    text = COUNT.replace("[k]", "[plate]").replace("{k: {base: plate, other: subject}}", "{plate: {other: subject}}")
    correlation = load(text + OTHERS)["rule"].correlation
    assert correlation and correlation.group_by == (("plate",), ("subject",))


def test_numbers_are_exact(load: Load) -> None:
    text = "correlation: {type: spike, timespan: 90s, spike_height: 1.1, threshold_ref: 0}"
    correlation = load(text)["rule"].correlation
    assert correlation
    assert (correlation.spike_height, correlation.threshold_ref, correlation.threshold_cur) == (Fraction(11, 10), 0, 1)


def test_parameters_come_from_the_rule_or_the_settings(load: Load) -> None:
    body = """
        params: {threshold: 0.90, least: 3, window: 1h, word: it's}
        where: value > $threshold AND label != $word
        correlation: {type: event_count, timespan: $window, condition: {gte: $least}}
        """
    rule = load(body)["rule"]
    assert rule.source == "value > 0.90 AND label != 'it''s'"
    assert rule.correlation and rule.correlation.condition == (("gte", 3),)
    rule = load(body, settings=Settings(params={"rule": {"least": 4, "threshold": -1}}))["rule"]
    assert rule.source == "value > (-1) AND label != 'it''s'"
    assert rule.correlation and rule.correlation.condition == (("gte", 4),)


def test_list_values_are_normalised_as_the_field_is(load: Load) -> None:
    ruleset = load("where: plate IN LIST('stolen') OR subject IN LIST('stolen')")
    assert ruleset.lists["stolen_as_plate"]["value"].to_pylist() == ["K1", "K2"]
    assert ruleset.lists["stolen"]["value"].to_pylist() == ["k-1", "K2"]


def test_times_of_a_list_are_in_the_zone_of_the_city(load: Load) -> None:
    table = load("where: subject IN LIST('stolen')").lists["stolen"]
    assert [t and t.isoformat() for t in table["valid_from"].to_pylist()[1:]] == ["2026-01-05T05:00:00+00:00"]


def test_a_later_directory_replaces_lists_and_zones(load: Load, directory: Path, tmp_path: Path) -> None:
    load("where: subject IN LIST('stolen')")
    own = tmp_path / "own"
    (own / "lists").mkdir(parents=True)
    (own / "lists" / "stolen.csv").write_text("value\nMINE\n")
    ruleset = load_rules([directory, own], Settings(), run_tests=False)
    assert ruleset.lists["stolen"]["value"].to_pylist() == ["MINE"]


def test_an_empty_directory_is_no_error(tmp_path: Path) -> None:
    assert load_rules([tmp_path], Settings()).rules == ()


@pytest.mark.parametrize(
    "same",
    [
        "title: Other words\nrunbook: Do this.\nwhere: value > 5 AND plate = 'K'",
        "where: value>5 and PLATE='K'",
        "where: |\n  value > 5 -- fast\n  AND /* and */ plate = 'K'",
        "level: critical\nwhere: value > $n AND plate = 'K'\nparams: {n: 5}",
        "falsepositives: [x]\nstatus: deprecated\nwhere: value > 5 AND plate = 'K'",
    ],
)
def test_words_and_spacing_keep_the_version(load: Load, same: str) -> None:
    head = HEAD.replace("title: A rule\n", "") if "title" in same else HEAD
    assert load(same, head=head)["rule"].version == version(load, "where: value > 5 AND plate = 'K'")


@pytest.mark.parametrize(
    "other",
    [
        "where: value > 6 AND plate = 'K'",
        "where: value > 5 AND plate = 'k'",
        "where: value > 5 AND plate = 'K '",
        "where: value > 5 AND plate = 'K'\nlogsource: {category: anpr.read}",
        "where: value > 5 AND plate = 'K'\nsuppression: {duration: 1h, group-by: [plate]}",
        "where: value > $n AND plate = 'K'\nparams: {n: 6}",
        "where: value > 5 AND plate = 'K'\ncorrelation: {type: flatline, timespan: 1h}",
    ],
)
def test_what_decides_matches_changes_the_version(load: Load, other: str) -> None:
    assert version(load, other) != version(load, "where: value > 5 AND plate = 'K'")


def test_the_predicates_of_named_rules_are_part_of_the_version(load: Load) -> None:
    before = version(load, COUNT + OTHERS)
    assert version(load, COUNT + OTHERS.replace("plate IS NOT NULL", "plate IS NULL")) != before
    assert version(load, COUNT + OTHERS.replace("title: A base", "title: The base")) == before
    assert version(load, COUNT + OTHERS.replace("drone.violation", "drone.position")) != before


def test_lists_and_zones_are_not_part_of_the_version(load: Load, directory: Path) -> None:
    body = "where: plate IN LIST('stolen')"
    before = version(load, body)
    (directory / "lists" / "stolen.csv").write_text("value\nZ9\n")
    assert version(load, body) == before


def test_writing_a_default_out_keeps_the_version(load: Load) -> None:
    text = "correlation: {type: spike, timespan: 60s, spike_height: 2"
    longer = (
        text.replace("60s", "1m") + ", threshold_cur: 1, threshold_ref: 1, group-by: []}\nsuppression: {duration: 60s}"
    )
    assert version(load, text + "}") == version(load, longer)


def test_tests_of_a_rule_know_the_types_of_fields(load: Load) -> None:
    body = """
        where: plate IS NOT NULL
        suppression: {duration: 1h, group-by: [plate]}
        tests:
          - name: a
            start: 2026-03-08T06:59:00Z
            defaults: {plate: 0123, value: 5}
            events:
              - {at: 0s, vehicle_year: "1999"}
              - {at: 1m, plate: k-9, received_at: 5m, colour: 7}
              - {at: 2m, tick: true}
            expect: [{at: 0s, group: {plate: 0123}}]
        """
    (test,) = load(body)["rule"].tests
    first, second, tick = test.events
    assert (first["plate"], first["value"], first["vehicle_year"]) == ("0123", 5.0, 1999)
    assert (second["plate"], second["received_at"], second["colour"]) == ("K9", 5 * MINUTE, 7)
    assert tick == {"at": 2 * MINUTE, "tick": True}
    assert test.expect[0]["group"] == {"plate": "0123"}


def test_yaml_is_that_of_version_1_2_and_dates_are_text() -> None:
    (node,) = parse_documents("[no, on, 0123, 1e3, 2026-01-05, ~, 'true', true, .5]", "f")
    assert node.value == ["no", "on", 123, 1000.0, "2026-01-05", None, "true", True, 0.5]


def test_a_ruleset_is_plain_data(load: Load) -> None:
    rule = load(COUNT + OTHERS)["rule"]
    assert Rule(**{f.name: getattr(rule, f.name) for f in dataclasses.fields(rule)}) == rule
