"""For any input: a rule that loads can be evaluated and means what its author wrote; nothing but RuleError escapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citywatch.errors import RuleError
from citywatch.event import BY_NAME, COLUMNS
from citywatch.rules.document import parse_documents
from citywatch.rules.functions import FUNCTIONS
from citywatch.rules.language import RULE
from citywatch.rules.lists import Lists
from citywatch.rules.load import load_rules
from citywatch.rules.model import CorrelationType
from citywatch.rules.predicate import Compiler
from citywatch.rules.syntax import PredicateError, literal
from citywatch.rules.testing import outcomes
from citywatch.rules.version import canonical
from citywatch.settings import Settings

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)

WORDS = st.sampled_from(["K1", "", "it's", "é", "%", "AND", "--", "a  b"])
NUMBERS = st.sampled_from(["0", "1", "46", "-3", "2.5", "0.90", "1e3"])


def operators(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(children, st.sampled_from(["AND", "OR"]), children).map(" ".join),
        children.map("({})".format),
        children.map("NOT ({})".format),
        st.tuples(children, children, children).map(lambda t: f"CASE WHEN {t[0]} THEN {t[1]} ELSE {t[2]} END"),
        children.map("({}) IS NOT TRUE".format),
    )


def comparisons() -> st.SearchStrategy[str]:
    text, number = (
        st.sampled_from(["plate", "label", "data->>'note'", "lower(subject)"]),
        st.sampled_from(
            ["value", "severity", "local_hour", "TRY_CAST(data->>'n' AS INTEGER)", "value * 2 - severity", "-value"]
        ),
    )
    compared = st.sampled_from(["=", "<>", "<", ">=", "IS DISTINCT FROM"])
    return st.one_of(
        st.tuples(text, compared, WORDS.map(literal)).map(" ".join),
        st.tuples(number, compared, NUMBERS).map(" ".join),
        st.tuples(number, NUMBERS, NUMBERS).map(lambda t: f"{t[0]} BETWEEN {t[1]} AND {t[2]}"),
        st.tuples(text, st.sampled_from(["LIKE", "NOT LIKE", "ILIKE", "~"]), WORDS.map(literal)).map(" ".join),
        st.tuples(text, st.sampled_from(["IN", "NOT IN"]), st.lists(WORDS.map(literal), min_size=1)).map(
            lambda t: f"{t[0]} {t[1]} ({', '.join(t[2])})"
        ),
        text.map("{} IS NULL".format),
        WORDS.map(lambda w: f"{literal(w)} IN behaviors"),
        st.sampled_from(["late", "true", "extract(hour FROM time) > 6", "received_at - time > INTERVAL 1 MINUTE"]),
    )


PREDICATES = st.recursive(comparisons(), operators, max_leaves=6)

ROW = {
    "plate": WORDS, "label": WORDS, "subject": WORDS, "value": st.floats(-100, 100), "severity": st.integers(1, 5),
    "late": st.booleans(), "behaviors": st.lists(WORDS), "local_hour": st.integers(0, 23),
}  # fmt: skip


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler(Lists({}), [])


def relation(row: dict[str, Any]) -> str:
    """A one-row relation of events."""
    columns = {c.name: f"CAST(NULL AS {c.sql})" for c in COLUMNS}
    columns |= {"time": "TIMESTAMPTZ '2026-01-05 12:00:00Z'", "received_at": "TIMESTAMPTZ '2026-01-05 12:02:00Z'"}
    for name, value in row.items():
        shown = f"[{', '.join(map(literal, value))}]" if isinstance(value, list) else literal(value)
        columns[name] = f"CAST({shown} AS {BY_NAME[name].sql})"
    data = literal(json.dumps({"note": row.get("label"), "n": "7"}))
    return f"(SELECT {', '.join(f'{sql} AS {n}' for n, sql in columns.items())}, CAST({data} AS JSON) AS data)"


@RELAXED
@given(text=PREDICATES, row=st.fixed_dictionaries({}, optional=ROW))
def test_a_compiled_predicate_means_what_its_author_wrote(compiler: Compiler, text: str, row: dict[str, Any]) -> None:
    predicate = compiler.compile(text, {})
    assert compiler.check([predicate]) == [None]
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        (answers,) = con.execute(f"SELECT TRY({text}), TRY({predicate.sql}) FROM {relation(row)}").fetchall()
    assert answers[0] == answers[1]


@RELAXED
@given(text=PREDICATES, blanks=st.lists(st.sampled_from([" ", "\n", "\t ", " /* c */ ", " -- c\n"]), min_size=1))
def test_spacing_and_comments_never_change_the_canonical_form(text: str, blanks: list[str]) -> None:
    pieces = text.replace(" AND ", "\x00AND\x00").replace(" OR ", "\x00OR\x00").split("\x00")
    spaced = pieces[0] + "".join(blanks[i % len(blanks)] + piece for i, piece in enumerate(pieces[1:]))
    assert canonical(spaced) == canonical(text)


@RELAXED
@given(text=st.text() | st.text(alphabet="()'\"-/*$,. \nabcdANDORNOT=<>[]{}:;|&!~^%+0159é"))
def test_any_text_is_a_predicate_or_refused(compiler: Compiler, text: str) -> None:
    try:
        predicate = compiler.compile(text, {})
    except PredicateError as error:
        assert 0 <= error.offset <= len(text)
    else:
        compiler.check([predicate])


@RELAXED
@given(text=st.text() | st.text(alphabet="abc:-[]{}&*!|>'\"#%@,? \n\t\\0159~"))
def test_any_text_is_yaml_or_refused(text: str) -> None:
    try:
        for node in parse_documents(text, "any"):
            _ = node.value
    except RuleError as error:
        assert error.where


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1h", "$n", "plate", "base", "value > 5", "2026-01-05", "gte", *map(str, CorrelationType)]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(
        st.sampled_from([k.name for k in RULE.keys] + ["type", "timespan", "gte", "field", "at", "category", "duration"])  # noqa: E501 - a case a line
        | st.text(max_size=5), children, max_size=4),
    max_leaves=12,
)  # fmt: skip


@RELAXED
@given(
    documents=st.lists(st.dictionaries(st.sampled_from([k.name for k in RULE.keys]), VALUES, max_size=6), max_size=3)
)
def test_any_document_loads_or_is_refused(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    head = {"title": "t", "id": "6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a1", "name": "n"}
    made = [{**head, "id": f"{head['id']}{i}", "name": f"n{i}", **document} for i, document in enumerate(documents)]
    (tmp_path / "any.yaml").write_text("\n---\n".join(map(json.dumps, made)), "utf-8")
    try:
        load_rules([tmp_path], Settings(), run_tests=False)
    except RuleError as error:
        assert str(error)


CORRELATIONS = {
    "event_count": st.sampled_from(["condition: {gte: 2}", "condition: {gt: 1, lte: 3}", "condition: {eq: 1}"]),
    "value_count": st.sampled_from(["condition: {gte: 2, field: subject}", "condition: {lt: 2, field: severity}"]),
    "flatline": st.just("group-by: [device_id]"),
    "spike": st.sampled_from(["spike_height: 2", "spike_height: 1.5, threshold_cur: 2, threshold_ref: 0"]),
    "new_terms": st.just("field: subject"),
    "change": st.sampled_from(["field: subject", "field: value", "field: behaviors"]),
    "dwell": st.just("max_gap: 2m"),
    "impossible_travel": st.just("max_speed_kmh: 100.5"),
}


@settings(RELAXED, max_examples=25)
@given(
    where=PREDICATES,
    correlation=st.sampled_from(sorted(CORRELATIONS)).flatmap(
        lambda kind: CORRELATIONS[kind].map(lambda rest: f"type: {kind}, timespan: 5m, {rest}")
    )
    | st.none(),
    values=st.lists(st.fixed_dictionaries({}, optional={k: v for k, v in ROW.items() if k not in {"late", "local_hour"}}), max_size=4),  # noqa: E501 - a case a line
)  # fmt: skip
def test_a_rule_that_loads_is_evaluated(
    tmp_path: Path, where: str, correlation: str | None, values: list[dict[str, Any]]
) -> None:
    events = [{"at": f"{i}m", "type": "a", **fields} for i, fields in enumerate(values)]
    rule = {
        "title": "t", "id": "6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11", "name": "n", "where": where,
        "tests": [{"name": "any", "events": [*events, {"at": "30m", "tick": True}], "expect": []}],
    }  # fmt: skip
    if correlation:
        rule["correlation"] = yaml.safe_load(f"{{{correlation}}}")
    (tmp_path / "any.yaml").write_text(json.dumps(rule), "utf-8")
    ruleset = load_rules([tmp_path], Settings(), run_tests=False)
    (outcome,) = outcomes(ruleset, ruleset.rules)
    assert not outcome.missing


def test_every_allowed_function_is_there_and_gives_one_answer() -> None:
    with duckdb.connect() as con:
        rows = con.execute("SELECT function_name, function_type, stability FROM duckdb_functions()").fetchall()
    found: dict[str, set[tuple[str, str | None]]] = {}
    for name, kind, stability in rows:
        found.setdefault(name, set()).add((kind, stability))
    for name in FUNCTIONS:
        assert found.get(name), name
        assert found[name] <= {("scalar", "CONSISTENT"), ("macro", None)}, (name, found[name])
