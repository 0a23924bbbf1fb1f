"""The examples, one sentence of the contract each, on every engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.cases import After, Case
from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, engines
from tests.conformance.examples import Example, examples
from tests.conformance.profiles import PROFILE

every_engine = pytest.mark.parametrize(
    "engine", [pytest.param(e, id=e.name) for e in engines() if e.EXAMPLES and (e.QUICK or PROFILE != "quick")]
)
every_example = pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in examples()])


@every_engine
@every_example
def test_in_one_batch_the_engine_agrees_with_the_contract(
    example: Example, engine: type[Engine], tmp_path: Path
) -> None:
    _check(engine, example.case, tmp_path)


@pytest.mark.skipif(PROFILE == "quick", reason="the quick profile reads each example in one batch")
@pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines() if e.QUICK])
@every_example
def test_event_by_event_with_a_restart_after_each_the_engine_agrees_with_the_contract(
    example: Example, engine: type[Engine], tmp_path: Path
) -> None:
    _check(engine, event_by_event(example.case), tmp_path)


def event_by_event(case: Case) -> Case:
    """The case with every item as a batch, and a restart after each."""
    return replace(case, cuts=dict.fromkeys(range(1, len(case.items) + 1), After.RESTART))


def _check(engine: type[Engine], case: Case, directory: Path) -> None:
    case = engine().reading(case)
    if wrong := verdict(engine, case, engine().run(case, directory)):
        pytest.fail(wrong, pytrace=False)
