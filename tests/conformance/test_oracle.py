"""The examples, worked out by hand, check the oracle: what checks the engines is itself checked."""

from __future__ import annotations

import pytest

from tests.conformance.examples import Example, examples
from tests.oracle import evaluate


@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in examples()])
def test_the_oracle_says_what_was_worked_out_by_hand(example: Example) -> None:
    case = example.case
    outcome = evaluate(case.rules, case.items, case.settings, case.clock)
    assert {
        (a.rule, a.group, a.first_seen, a.last_seen, a.count, a.late, a.evidence) for a in outcome.alerts
    } == example.alerts
    for rule, place in example.places.items():
        assert {(a.lat, a.lon) for a in outcome.alerts if a.rule == rule} == {place}
    assert {name: getattr(outcome.counts, name) for name in example.counts} == dict(example.counts)


def test_the_names_of_the_examples_are_distinct() -> None:
    names = [example.name for example in examples()]
    assert len(names) == len(set(names))
