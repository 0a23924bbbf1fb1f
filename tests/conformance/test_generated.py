"""Generated rules and events: every engine agrees with the oracle, whatever the batches, restarts and shards."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tests.conformance.cases import Case
from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, engines, fresh_directory
from tests.conformance.profiles import PROFILE, parts, search
from tests.conformance.strategies import CORRELATIONS, cases

every_part = pytest.mark.parametrize("part", parts())


@pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines() if e.ALONE])
@every_part
@pytest.mark.parametrize("type_", CORRELATIONS)
def test_a_correlation_agrees_with_the_contract(type_: str, part: int, engine: type[Engine]) -> None:
    search(cases([type_]), lambda case: _check(engine, case), part=part, name=type_)


@pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines() if e.QUICK or PROFILE != "quick"])
@every_part
def test_many_rules_together_agree_with_the_contract(part: int, engine: type[Engine]) -> None:
    types = st.lists(st.sampled_from(CORRELATIONS), max_size=5)
    search(types.flatmap(cases), lambda case: _check(engine, case), part=part, name=f"many on {engine.name}")


def _check(engine: type[Engine], case: Case) -> None:
    case = engine().reading(case)
    with fresh_directory() as directory:
        wrong = verdict(engine, case, engine().run(case, directory))
    if wrong:
        pytest.fail(wrong, pytrace=False)
