"""What does not load, and what is said about it: every refusal that the contract lists, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.errors import RuleErrors
from citywatch.rules.load import load_rules
from citywatch.settings import Settings
from tests.unit.rules.conftest import HEAD, OTHERS, Load, Refuse


def correlation(text: str) -> str:
    return f"correlation: {{{text}}}\n{OTHERS}"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("value / 2 > 1 AND 7 // 0 = 1", "7 // 0"),
        ("value > 1 OR chr(-1) = 'a'", "Invalid UTF8 Codepoint -1"),
        ("value = 1 AND CAST('zz' AS INTEGER) = 1", "Could not convert string 'zz' to INT32"),
        ("'{'::JSON IS NULL", "Malformed JSON"),
        ("strptime('x', '%Y') IS NULL", "Could not parse string"),
        ("label LIKE data->>'pattern' ESCAPE 'x'", "ESCAPE is not allowed here"),
    ],
)
def test_what_would_stop_every_rule_when_it_is_planned_is_refused_with_its_line(
    refuse: Refuse, where: str, said: str
) -> None:
    (error,) = refuse("where: |\n  " + where)
    assert said in error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("levl: high", "4: unknown key 'levl' (did you mean level?)"),
        ("level: hihg", "4: 'hihg' is not possible here (did you mean high?)"),
        ("status: stabel", "4: 'stabel' is not possible here (did you mean stable?)"),
        ("logsource: {categry: x}", "4: unknown key 'categry'"),
        ("suppression: {duration: 60}", "4: '60' is no duration: write 60s, 5m, 2h, 1d or 1w"),
        ("suppression: {duration: 0s, group-by: [plate]}", "4: a duration above 0 is wanted here"),
        ("suppression: {duration: 900w, group-by: [plate]}", "4: 900w is longer than ten years"),
        ("suppression: {duration: 1h}", "4: suppression.duration needs a group-by"),
        ("suppression: {group-by: [plate]}", "4: suppression.group-by needs a duration"),
        ("suppression: {duration: 1h, group_by: [plate]}", "4: unknown key 'group_by' (did you mean group-by?)"),
        ("suppression: {duration: 1h, group-by: [plat]}", "4: unknown field 'plat' (did you mean plate?)"),
        ("suppression: {duration: 1h, group-by: [plate, plate]}", "4: field 'plate' stands twice"),
        ("where: plat = 'x'", "4: where: unknown column 'plat' (did you mean plate?)"),
        ("where: starts_wit(plate, 'x')", "4: where: unknown function 'starts_wit' (did you mean starts_with?)"),
        ("where: plate", "4: where: is VARCHAR, a predicate is true or false"),
        ("where: plate > 3", "4: where: Cannot compare values of type VARCHAR"),
        ("where: plate IN LIST('stoln')", "4: where: unknown list 'stoln' (did you mean stolen?)"),
        ("where: IN_ZONE('scool')", "4: where: unknown zone 'scool' (did you mean school?)"),
        ("where: value > $threshold", "4: where: unknown parameter $threshold"),
        ("params: {threshold: 5}", "4: parameter 'threshold' is not used"),
        ("where: |\n  plate = 'a'\n\n  AND plat = 'b'", "7: where: unknown column 'plat'"),
        ("where: >-\n  plate = 'a'\n  AND nothing(plate)", "6: where: unknown function 'nothing'"),
        ("where: plate = 'a' AND\n  'é' = label AND\n  value > plate", "6: where: Cannot compare"),
        ("tests: [{name: a, events: [], expect: [], expct: []}]", "4: unknown key 'expct' (did you mean expect?)"),
        ("tests: [{name: a, events: [{at: 0s, severity: 3.5}], expect: []}]", "4: field severity wants SMALLINT"),
        ("tests: [{name: a, events: [{at: 0s, local_hour: 3}], expect: []}]", "4: 'local_hour' cannot be given"),
        (
            "tests: [{name: a, events: [], expect: [{at: 0s, group: {plate: K}}]}]",
            "4: 'plate' is not in the rule's key",
        ),
        ("status: stable", "1: a test in which the rule fires is missing"),
    ],
)
def test_a_plain_rule_is_refused_with_its_line(refuse: Refuse, body: str, said: str) -> None:
    assert any(error.startswith(said) for error in refuse(body)), refuse(body)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type: event_count, timespan: 1h, condition: {eq: 0}", "an event_count is never zero, so eq: 0 never holds (silence is what flatline finds)"),  # noqa: E501 - a case a line
        ("type: event_count, timespan: 1h, condition: {lt: 1}", "silence is what flatline finds"),
        ("type: event_count, timespan: 1h, condition: {lte: 0}", "silence is what flatline finds"),
        ("type: event_count, timespan: 1h, condition: {gt: 5, lt: 6}", "no count satisfies gt: 5, lt: 6"),
        ("type: event_count, timespan: 1h, condition: {gte: 2.5}", "a whole number of at least 0 is wanted here"),
        ("type: event_count, timespan: 1h, condition: {}", "a condition needs an operator"),
        ("type: event_count, timespan: 1h", "correlation event_count needs 'condition'"),
        ("type: event_count, timespan: 1h, condition: {gte: 2, field: plate}", "event_count does not take a field"),
        ("type: event_count, condition: {gte: 2}", "key 'timespan' is missing"),
        ("type: value_count, timespan: 1h, condition: {gte: 2}", "value_count needs condition.field"),
        ("type: value_count, timespan: 1h, condition: {gte: 2, field: plat}", "unknown field 'plat'"),
        ("type: event_cuont, timespan: 1h", "'event_cuont' is not possible here (did you mean event_count?)"),
        ("type: temporal, timespan: 1h", "correlation temporal takes 1 to 64 rules, not 0"),
        ("type: temporal, timespan: 1h, rules: [base, bose]", "unknown rule 'bose' (did you mean base?)"),
        ("type: temporal, timespan: 1h, rules: [base, rule]", "rule 'rule' is a correlation itself"),
        ("type: absence, timespan: 1h, rules: [base]", "correlation absence takes exactly 2 rules, not 1"),
        ("type: absence, timespan: 1h, rules: [base, other, base]", "correlation absence takes exactly 2 rules, not 3"),
        ("type: dwell, timespan: 1h, max_gap: 5m, rules: [base]", "correlation dwell takes no rules"),
        ("type: dwell, timespan: 1h", "correlation dwell needs 'max_gap'"),
        ("type: flatline, timespan: 1h, condition: {gte: 1}", "correlation flatline does not take 'condition'"),
        ("type: spike, timespan: 1h", "correlation spike needs 'spike_height'"),
        ("type: spike, timespan: 1h, spike_height: -1", "a decimal number above 0 is wanted here"),
        ("type: new_terms, timespan: 1h", "correlation new_terms needs 'field'"),
        ("type: change, timespan: 1h, field: nothing", "unknown field 'nothing'"),
        ("type: impossible_travel, timespan: 1h", "correlation impossible_travel needs 'max_speed_kmh'"),
        ("type: flatline, timespan: 1h, generate: true", "generate has a meaning only beside rules"),
        ("type: flatline, timespan: 1h, group-by: [plate, plate]", "field 'plate' stands twice"),
        ("type: flatline, timespan: 1h, group-by: [k], aliases: {k: {base: plate}}", "aliases have a meaning only beside rules"),  # noqa: E501 - a case a line
        ("type: temporal, timespan: 1h, rules: [base, other], group-by: [k], aliases: {k: {base: plate, other: severity}}", "the fields of alias 'k' differ in type: plate is VARCHAR, severity is SMALLINT"),  # noqa: E501 - a case a line
        ("type: temporal, timespan: 1h, rules: [base, other], group-by: [k], aliases: {k: {base: plate}}", "alias 'k' has no field for rule 'other'"),  # noqa: E501 - a case a line
        ("type: temporal, timespan: 1h, rules: [base, other], group-by: [k], aliases: {k: {base: plate, othr: plate}}", "alias 'k' names rule 'othr', which is not in rules (did you mean other?)"),  # noqa: E501 - a case a line
        ("type: temporal, timespan: 1h, rules: [base, other], aliases: {k: {base: plate, other: plate}}", "alias 'k' is not in group-by"),  # noqa: E501 - a case a line
        ("type: event_count, timespan: $window, condition: {gte: 2}", "unknown parameter $window"),
    ],
)  # fmt: skip
def test_a_correlation_is_refused(refuse: Refuse, text: str, said: str) -> None:
    assert any(said in error for error in refuse(correlation(text))), refuse(correlation(text))


@pytest.mark.parametrize("own", ["where: plate = 'x'", "logsource: {category: anpr.read}"])
def test_named_rules_beside_own_events_are_refused(refuse: Refuse, own: str) -> None:
    errors = refuse(f"{own}\n" + correlation("type: temporal, timespan: 1h, rules: [base, other]"))
    assert any("correlation.rules beside an own" in error for error in errors)


def test_the_key_of_a_correlation_is_not_in_its_suppression(refuse: Refuse) -> None:
    text = "suppression: {duration: 1h, group-by: [plate]}\n" + correlation("type: flatline, timespan: 1h")
    assert any("suppression.group-by has no meaning beside a correlation" in error for error in refuse(text))


@pytest.mark.parametrize(
    "where",
    [
        "now() > time", "current_timestamp > time", "current_date = local_date", "random() > 0.5", "uuid() = id",
        "count(*) > 1", "sum(value) > 1", "sum(value) OVER () > 1", "(SELECT true)", "EXISTS (SELECT 1)",
        "plate IN (SELECT id)", "plate = ANY(['a'])", "true; SELECT 1", "plate FROM event", "plate = 'a' extra",
        "true UNION SELECT true", "true LIMIT 1", "DISTINCT true", "*", "COLUMNS(*)", "plate = 'a' OR ?", "zones.a = 1",
        "list_filter(zones, z -> z = 'a') = []", "data->'a'->>'b' = 'c'", "getenv('HOME') = 'a'", "plate COLLATE NOCASE = 'a'",  # noqa: E501 - a case a line
        "read_text('/etc/passwd') = 'a'", "LIST('stolen') = 'a'", "IN_ZONE(plate)", "plate IN LIST(plate)", "rowid = 1",
        "TRY((SELECT true))", "CASE WHEN (SELECT true) THEN true END", "plate = 'a' /* open", "plate = 'open",
    ],
)  # fmt: skip
def test_a_predicate_that_is_not_of_the_event_alone_is_refused(refuse: Refuse, where: str) -> None:
    (error,) = refuse("where: |\n  " + where)
    assert error.startswith("5: where: ")


def test_all_errors_of_a_directory_are_said_at_once(directory: Path) -> None:
    (directory / "a.yaml").write_text(HEAD + "levl: high\nwhere: plat = 'x'\n")
    (directory / "b.yaml").write_text("title: [\n")
    (directory / "lists" / "bad.csv").write_text("value,fom\nx,\n")
    (directory / "zones" / "bad.geojson").write_text("{")
    with pytest.raises(RuleErrors) as caught:
        load_rules([directory], Settings(), run_tests=False)
    assert len(caught.value.errors) == 5


def test_names_and_ids_are_unique(directory: Path) -> None:
    (directory / "a.yaml").write_text(HEAD)
    (directory / "b.yaml").write_text(HEAD)
    with pytest.raises(
        RuleErrors, match=r"(?s)b\.yaml:1: id .* is taken .*b\.yaml:1: name 'rule' is taken|b\.yaml:1: name"
    ):
        load_rules([directory], Settings(), run_tests=False)


def test_a_rule_that_others_name_needs_a_name_of_its_own(refuse: Refuse) -> None:
    body = correlation("type: temporal, timespan: 1h, rules: [base, other]").replace("name: base\n", "")
    assert any("unknown rule 'base'" in error for error in refuse(body))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the first line must name the columns"),
        ("plate\nK1\n", "the first line must name the columns"),
        ("value,utnil\n", "unknown column 'utnil' (did you mean until?)"),
        ("value\nK1,2\n", "stolen.csv:2: 2 cells under 1 columns"),
        ("value,from\nK1,\n\nK2,yesterday\n", "stolen.csv:4: 'yesterday' is no date or time"),
        ("value,from,until\nK1,2026-02-01,2026-01-01\n", "stolen.csv:2: from is not before until"),
        ("value\n---\n", "'---' is no plate"),
        ('value\n"K1\n', "not valid CSV"),
    ],
)
def test_a_list_is_refused_with_its_line(refuse: Refuse, directory: Path, content: str, said: str) -> None:
    (directory / "lists" / "stolen.csv").write_text(content)
    assert any(said in error for error in refuse("where: plate IN LIST('stolen')"))


def test_a_list_that_cannot_be_values_of_the_field_is_refused(refuse: Refuse) -> None:
    (error,) = refuse("where: violation_code IN LIST('stolen')")
    assert "field violation_code wants SMALLINT, not 'k-1'" in error


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ('{"type": "Feature", "properties": {}, "geometry": null}', "feature 1 has no property name"),
        ('{"type": "Feature", "properties": {"name": "z"}, "geometry": null}', "no geometry that can be read"),
        ('{"type": "Feature", "properties": {"name": "z"}, "geometry": {"type": "Point", "coordinates": [1, 1]}}', "is a Point"),  # noqa: E501 - a case a line
        ('{"type": "Feature", "properties": {"name": "z"}, "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}}', "Self-intersection"),  # noqa: E501 - a case a line
        ('{"type": "Feature", "properties": {"name": "z"}, "geometry": {"type": "Polygon", "coordinates": [[[0, 100], [1, 100], [1, 101], [0, 100]]]}}', "outside of the earth"),  # noqa: E501 - a case a line
        ("[]", "not a GeoJSON Feature"),
    ],
)  # fmt: skip
def test_a_zone_is_refused(refuse: Refuse, directory: Path, feature: str, said: str) -> None:
    (directory / "zones" / "z.geojson").write_text(feature)
    assert any(said in error for error in refuse(""))


def test_a_setting_for_a_parameter_that_the_rule_has_not_is_refused(refuse: Refuse) -> None:
    body = "params: {threshold: 5}\nwhere: value > $threshold"
    (error,) = refuse(body, settings=Settings(params={"rule": {"treshold": 6}}))
    assert "'treshold', which this rule has not (did you mean threshold?)" in error
    (error,) = refuse(body, settings=Settings(params={"rule": {"threshold": "six"}}))
    assert "the value 'six', not a number" in error


def test_a_rule_whose_test_fails_does_not_load(refuse: Refuse, load: Load) -> None:
    body = """
        status: stable
        where: value > 5
        tests:
          - {name: fires, events: [{at: 0s, value: 6}], expect: [{at: 0s, count: 1}]}
          - {name: does not, events: [{at: 1m, value: 7}], expect: []}
        """
    (error,) = refuse(body, run_tests=True)
    assert "test 'does not' of rule 'rule' fails, not expected: an alert at 1m" in error
    assert len(load(body.replace("value: 7", "value: 5"), run_tests=True).rules) == 1
