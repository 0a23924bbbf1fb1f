"""Rules at work: lists and zones, tests inside rules, explain, back-test, the schema, the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pyarrow as pa
import pytest
from click.testing import CliRunner

from citywatch.cli.rules import rules as command
from citywatch.errors import RuleErrors
from citywatch.event import batch_schema
from citywatch.rules.backtest import backtest
from citywatch.rules.document import parse_documents, read_documents
from citywatch.rules.explain import Explanation, explain
from citywatch.rules.load import load_rules, rule_files, shipped
from citywatch.rules.model import Ruleset, RuleTest
from citywatch.rules.passed import Passed
from citywatch.rules.schema import rule_schema
from citywatch.rules.testing import Raised, batch_of, matched, outcomes
from citywatch.rules.tests import START
from citywatch.settings import HOUR, MINUTE, Settings
from citywatch.stores.directory import DataDirectory
from tests.unit.rules.conftest import HEAD, Load, Refuse

LISTS = """
    where: plate IN LIST('stolen')
    tests:
      - {name: in it for ever, events: [{at: 0s, plate: k 1}], expect: [{at: 0s}]}
      - {name: not in it, events: [{at: 0s, plate: K3}, {at: 0s}], expect: []}
      - name: from is in, until is out, both in the city
        start: 2026-01-05T05:00:00Z
        defaults: {plate: K2}
        events: [{at: 0s}, {at: 24h}]
        expect: [{at: 0s}]
    """


def failures(ruleset: Ruleset) -> list[str]:
    return [str(o.error()) for o in outcomes(ruleset, ruleset.rules) if not o.passed]


@pytest.mark.parametrize(
    "body",
    [
        LISTS,
        """
        where: plate NOT IN LIST('stolen')
        tests: [{name: NULL is neither in nor out, events: [{at: 0s}, {at: 1s, plate: A}], expect: [{at: 1s}]}]
        """,
        """
        where: lower(label) IN LIST('stolen') AND TRY_CAST(data->>'n' AS INTEGER) > 1
        tests: [{name: any value, events: [{at: 0s, label: K-1, n: 2}, {at: 1s, label: K-1, n: x}], expect: [{at: 0s}]}]
        """,
        """
        where: plate IN LIST('stolen') AND CAST(data->>'n' AS INTEGER) > 1
        tests:
          - name: an error is not true, and spares the other events
            defaults: {plate: K1}
            events: [{at: 0s, n: x}, {at: 1s, n: 2}, {at: 2s}]
            expect: [{at: 1s}]
        """,
        """
        where: IN_ZONE('school')
        tests:
          - name: the border is inside, no position is nowhere
            events: [{at: 0s, lat: 0.5, lon: 1}, {at: 1s, lat: 0.5, lon: 1.1}, {at: 2s}]
            expect: [{at: 0s}]
        """,
        """
        where: local_hour = 7 AND hour(time) = 12
        tests: [{name: UTC inside and the city by name, events: [{at: 0s}], expect: [{at: 0s}]}]
        """,
        """
        params: {least: 3}
        correlation: {type: event_count, group-by: [plate], timespan: 1m, condition: {gte: $least}}
        tests:
          - name: in the window
            defaults: {plate: A}
            events: [{at: 0s}, {at: 1s}, {at: 60s}, {at: 60s}]
            expect: [{at: 60s, group: {plate: A}, count: 2}]
          - name: late ones take no part
            defaults: {plate: A}
            events: [{at: 0s}, {at: 1s}, {at: 2s, received_at: 5m}]
            expect: []
          - name: a copy counts once
            defaults: {plate: A, id: same}
            events: [{at: 0s}, {at: 0s}, {at: 0s}]
            expect: []
        """,
    ],
)
def test_the_tests_of_a_rule_run_on_the_engine(load: Load, body: str) -> None:
    assert failures(load(body)) == []


def test_a_list_without_times_means_the_same(load: Load, directory: Path) -> None:
    for content, fires in (("value\nK1\n", "[{at: 0s}]"), ("value\n", "[]")):
        (directory / "lists" / "stolen.csv").write_text(content)
        events = "[{at: 0s, plate: K1}, {at: 1s}]"
        for test, expected in (("IN", fires), ("NOT IN", "[]" if fires != "[]" else "[{at: 0s}]")):
            body = f"where: plate {test} LIST('stolen')\ntests: [{{name: a, events: {events}, expect: {expected}}}]"
            assert failures(load(body)) == []


def test_a_base_rule_is_tested_as_if_it_stood_alone(load: Load) -> None:
    ruleset = load(
        """
        where: value > 5
        tests: [{name: fires, events: [{at: 0s, value: 6}], expect: [{at: 0s}]}]
        ---
        title: Both
        id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a12
        correlation: {type: event_count, rules: [rule], timespan: 1m, condition: {gte: 2}}
        """
    )
    assert not ruleset["rule"].alerts
    assert failures(ruleset) == []


def test_tests_see_the_default_parameters(directory: Path) -> None:
    (directory / "rule.yaml").write_text(
        HEAD
        + "params: {n: 5}\nwhere: value > $n\ntests: [{name: a, events: [{at: 0s, value: 6}], expect: [{at: 0s}]}]\n"
    )
    ruleset = load_rules([directory], Settings(params={"rule": {"n": 50}}))
    assert ruleset["rule"].source == "value > 50"


def test_what_has_passed_is_remembered_until_it_changes(load: Load, refuse: Refuse, tmp_path: Path) -> None:
    load(LISTS, run_tests=True)
    assert len((tmp_path / "cache" / "citywatch" / "tested-rules").read_text().split()) == 1
    load(LISTS, run_tests=True, head=HEAD.replace("A rule", "Other words"))
    assert len((tmp_path / "cache" / "citywatch" / "tested-rules").read_text().split()) == 1
    (tmp_path / "rules" / "lists" / "stolen.csv").write_text("value\nK3\n")
    assert len(refuse(LISTS, run_tests=True)) == 3


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    passed = Passed(tmp_path / "file" / "tested")
    passed.add("a")
    assert "a" in passed


def test_expectations_are_assigned_so_that_most_are_met() -> None:
    loose, strict = Raised(0, {}, None), Raised(0, {"plate": "A"}, None)
    a, b = Raised(0, {"plate": "A"}, 1), Raised(0, {"plate": "B"}, 2)
    assert matched([loose, strict], [a, b]) == {0: 1, 1: 0}
    assert len(matched([strict, strict], [a, b])) == 1


def events(*flat: dict[str, Any]) -> pa.Table:
    """Events at minutes: `at` counts minutes from the start."""
    made = tuple({"tick": False, **event, "at": event["at"] * MINUTE} for event in flat)
    batch, _ = batch_of(RuleTest("", START, made, (), None), Ruleset(()), "anpr.read")  # type: ignore[arg-type]  # no place
    return batch


def explained(ruleset: Ruleset, known: pa.Table, which: str, *, until: int = 24 * HOUR) -> Explanation:
    with duckdb.connect() as con:
        con.register("events", known)
        (event,) = (known.slice(i, 1) for i in range(len(known)) if known["id"][i].as_py() == which)
        return explain(con, event, ruleset["rule"], ruleset, Settings(), until=START + until)


def said(made: Explanation, what: str) -> list[tuple[bool | None, str]]:
    return [(finding.holds, finding.words) for finding in made.findings if finding.what == what]


READ = {"source": "camera/1", "type": "anpr.read"}


def test_explain_names_the_part_that_is_not_true(load: Load) -> None:
    ruleset = load("logsource: {category: anpr.read}\nwhere: value > 5 AND plate IN LIST('stolen') AND severity = 1")
    known = events({"at": 0, "id": "a", "plate": "K1", "value": 4.0})
    made = explained(ruleset, known, "a")
    assert not made.fires
    assert said(made, "type") == [(True, "anpr.read is one of anpr.read")]
    assert said(made, "where") == [
        (False, "value > 5  is false, with value = 4.0"),
        (True, "plate IN LIST('stolen')  is true"),
        (False, "severity = 1  is NULL, with severity = NULL"),
    ]


def test_explain_says_what_happens_to_events_that_come_too_late(load: Load) -> None:
    known = events({"at": 0, "id": "a", "received_at": 90 * MINUTE}, {"at": 0, "id": "b", "received_at": 25 * HOUR})
    late = explained(load("where: true"), known, "a")
    assert late.fires
    assert said(late, "late") == [(None, "received 90m after it happened: the alert is marked late")]
    counted = load("correlation: {type: event_count, timespan: 1h, condition: {gte: 1}}")
    assert said(explained(counted, known, "a"), "late")[0][0] is False
    stale = explained(load("where: true"), known, "b")
    assert not stale.fires
    assert said(stale, "stale") == [(False, "received 25h after it happened: history only")]


def test_explain_counts_the_window_and_names_the_alert(load: Load) -> None:
    ruleset = load("correlation: {type: event_count, group-by: [plate], timespan: 1h, condition: {gte: 3}}")
    known = events(*({"at": i, "id": str(i), "plate": "A"} for i in range(4)), {"at": 1, "id": "none"})
    assert not explained(ruleset, known, "1").fires or said(explained(ruleset, known, "1"), "window")
    third = explained(ruleset, known.slice(0, 4), "2")
    assert third.fires
    assert said(third, "window")[0] == (None, "3 events in the 1h up to the event; wanted: gte 3")
    (facts,) = [backtest([known], ruleset, Settings(), START + HOUR)]
    assert facts["id"][0].as_py() in said(third, "suppression")[0][1]
    without = explained(ruleset, known, "none")
    assert said(without, "key") == [(False, "plate = NULL: NULL takes no part in a correlation")]


def test_explain_says_what_a_match_still_waits_for(load: Load) -> None:
    ruleset = load("correlation: {type: flatline, group-by: [device_id], timespan: 1h}")
    known = events({"at": 0, "id": "a", "device_id": "d"})
    waiting = explained(ruleset, known, "a", until=30 * MINUTE)
    assert not waiting.fires
    assert waiting.verdict.endswith("is decided after 1865s more")
    assert explained(ruleset, known, "a", until=2 * HOUR).fires


@pytest.mark.parametrize(
    ("correlation", "words"),
    [
        ("type: value_count, timespan: 1h, condition: {gte: 2, field: label}", "2 values of label in the 1h"),
        ("type: spike, timespan: 2m, spike_height: 3", "2 events in the 2m up to the event, 1 in as long before"),
        ("type: new_terms, timespan: 1h, field: label", "label 'y' was seen 0 times in the 1h before; wanted: never"),
        ("type: change, timespan: 1h, field: label", "label is 'y', it was 'x' in the event before"),
        ("type: dwell, timespan: 1m, max_gap: 2m", "the stay lasts 2m; wanted: 1m, no gap over 2m"),
        ("type: impossible_travel, timespan: 1h, max_speed_kmh: 50", "camera/1 2: 111.20 km in 1m, 6672 km/h"),
        ("type: flatline, timespan: 1h", "0 events in the 1h after the event; wanted: none"),
    ],
)
def test_explain_puts_every_kind_of_window_in_words(load: Load, correlation: str, words: str) -> None:
    known = events(
        *({"at": i, "id": str(i + 1), "label": "xxy"[i], "lat": float(i // 2), "lon": 0.0, **READ} for i in range(3))
    )
    made = explained(load(f"correlation: {{{correlation}}}"), known, "3")
    assert any(words in window for _, window in said(made, "window")), said(made, "window")
    assert made.fires == ("spike" not in correlation)


def test_explain_tells_the_named_rules_apart(load: Load) -> None:
    ruleset = load(
        """
        correlation: {type: temporal, rules: [one, two], timespan: 5m}
        ---
        {title: One, id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a12, name: one, where: value = 1}
        ---
        {title: Two, id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a13, name: two, where: value = 2}
        """
    )
    made = explained(ruleset, events({"at": 0, "id": "a", "value": 1.0}, {"at": 1, "id": "b", "value": 2.0}), "b")
    assert made.fires
    assert said(made, "one: where") == [(False, "value = 1  is false, with value = 2.0")]
    assert (None, "events in the 5m up to the event: one 1, two 1") in said(made, "window")


def test_a_backtest_does_not_depend_on_the_cut_of_its_batches(load: Load) -> None:
    ruleset = load("correlation: {type: event_count, group-by: [plate], timespan: 5m, condition: {gte: 2}}")
    known = events(*({"at": i, "id": str(i), "plate": "AB"[i % 2]} for i in range(12)))

    def run(cuts: Sequence[int]) -> list[dict[str, Any]]:
        batches = (known.slice(a, b - a) for a, b in pairwise([0, *cuts, len(known)]))
        return backtest(batches, ruleset, Settings(), START + HOUR).to_pylist()

    assert run([]) == run([1, 2, 7, 7, 11])
    assert run([])
    assert backtest([], ruleset, Settings(), START).to_pylist() == []


def test_a_backtest_takes_in_what_was_backfill(load: Load) -> None:
    known = events({"at": 0, "id": "a"})
    backfill = pa.array([True])
    known = known.set_column(known.schema.get_field_index("backfill"), batch_schema().field("backfill"), backfill)
    assert len(backtest([known], load("where: true"), Settings(), START)) == 1


def test_every_shipped_rule_fits_the_schema_for_editors() -> None:
    validator = jsonschema.Draft202012Validator(rule_schema())
    validator.check_schema(rule_schema())
    for file in rule_files(shipped()):
        for node in read_documents(file):
            validator.validate(node.value)


@pytest.mark.parametrize(
    "body",
    [
        "levl: high", "status: stabel", "suppression: {duration: 60}", "suppression: {duration: 0s, group-by: [a]}",
        "suppression: {duration: 1h}", "correlation: {type: flatline}", "correlation: {type: dwell, timespan: 1h}",
        "correlation: {type: flatline, timespan: 1h, field: plate}",
        "correlation: {type: absence, timespan: 1h, rules: [a]}",
        "correlation: {type: dwell, timespan: 1h, max_gap: 1m, rules: [a]}",
        "correlation: {type: temporal, timespan: 1h, rules: [a, b]}\nwhere: true",
        "correlation: {type: flatline, timespan: 1h}\nsuppression: {duration: 1h, group-by: [a]}",
        "correlation: {type: event_count, timespan: 1h, condition: {gte: 2.5}}",
        "tests: [{name: a, events: [{}], expect: []}]", "id: 7",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_loader_refuses(refuse: Refuse, body: str) -> None:
    head = HEAD.replace("id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11\n", "") if body.startswith("id") else HEAD
    (node,) = parse_documents(head + body, "rule.yaml")
    assert refuse(body, head=head)
    assert list(jsonschema.Draft202012Validator(rule_schema()).iter_errors(node.value))


def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(command, words, input=stdin, catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_new_rule_loads_and_its_tests_pass(tmp_path: Path) -> None:
    code, out, _ = run("new", "my_rule", "--data", str(tmp_path))
    assert code == 0
    file = out.strip()
    assert Path(file).name == "my_rule.yaml"
    assert run("check", file) == (0, "", "1 rules load, 2 tests pass\n")
    assert run("test", file)[0] == 0
    code, out, _ = run("list", file, "--format", "ndjson")
    assert json.loads(out)["name"] == "my_rule"
    schema = json.loads((tmp_path / "rules" / "rule.schema.json").read_text())
    assert schema == json.loads(run("schema")[1])


def test_check_says_every_error_and_fails(load: Load, directory: Path) -> None:
    with pytest.raises(RuleErrors):
        load("levl: high\nstatsu: test")
    code, _, err = run("check", str(directory))
    assert code == 1
    assert len(err.splitlines()) == 2


def test_test_shows_what_failed(load: Load, directory: Path) -> None:
    load("where: value > 5\ntests: [{name: a, events: [{at: 0s, value: 1}], expect: [{at: 0s}]}]")
    code, out, err = run("test", str(directory))
    assert code == 1
    assert out.startswith("FAIL rule: a\n")
    assert err == "0 of 1 tests pass\n"


def test_explain_reads_an_event_from_standard_input(load: Load, directory: Path, tmp_path: Path) -> None:
    load("where: value > 5")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-01-05T12:00:00Z"}
    text = json.dumps({**event, "receivedat": "2026-01-05T12:00:01Z", "data": {"value": 6}})
    words = ("explain", "rule", "-", "--rules", str(directory), "--data", str(tmp_path / "none"))
    code, out, _ = run(*words, stdin=text)
    assert code == 0
    assert out.startswith("rule: it fires\n")
    assert json.loads(run(*words, "--format", "json", stdin=text)[1])["fires"] is True


def test_explain_places_an_event_as_the_engine_would(load: Load, directory: Path, tmp_path: Path) -> None:
    load("where: lat > 40 AND precinct IS NULL")
    data = tmp_path / "data"
    data.mkdir()
    (data / "devices.csv").write_text("device_id,device_kind,lat,lon,name,from,until\ncam-1,camera,40.7,-73.9,,,\n")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"device_id": "cam-1"}}
    words = ("explain", "rule", "-", "--rules", str(directory), "--data", str(data))
    assert run(*words, stdin=json.dumps(event))[1].startswith("rule: it fires\n")


def test_history_is_judged_by_the_settings_that_it_was_made_with(load: Load, directory: Path, tmp_path: Path) -> None:
    load("correlation: {type: event_count, timespan: 1h, condition: {gte: 1}}")
    data = DataDirectory(tmp_path / "data")
    data.prepare(Settings(lateness=HOUR))
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-01-05T12:00:00Z"}
    text = json.dumps({**event, "receivedat": "2026-01-05T12:30:00Z"})
    words = ("explain", "rule", "-", "--rules", str(directory), "--data", str(data.path))
    assert run(*words, stdin=text)[1].startswith("rule: it fires\n")
