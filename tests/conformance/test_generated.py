"""Generated rules and events: every engine agrees with the oracle, whatever the batches, restarts and shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.cases import Case
from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, engines, fresh_directory
from tests.conformance.profiles import thorough
from tests.conformance.strategies import CORRELATIONS, cases

every_engine = pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines()])


@every_engine
@pytest.mark.parametrize("type_", CORRELATIONS)
def test_a_correlation_agrees_with_the_contract(type_: str, engine: type[Engine]) -> None:
    @thorough(engine.SHARE)
    @given(cases([type_], ticking=engine.TICKING))
    def agrees(case: Case) -> None:
        _check(engine, case)

    agrees()


@every_engine
def test_many_rules_together_agree_with_the_contract(engine: type[Engine]) -> None:
    mixed = st.lists(st.sampled_from(CORRELATIONS), max_size=5)

    @thorough(2 * engine.SHARE)
    @given(mixed.flatmap(lambda types: cases(types, ticking=engine.TICKING)))
    def agree(case: Case) -> None:
        _check(engine, case)

    agree()


def _check(engine: type[Engine], case: Case) -> None:
    case = engine().reading(case)
    with fresh_directory() as directory:
        wrong = verdict(engine, case, engine().run(case, directory))
    if wrong:
        pytest.fail(wrong, pytrace=False)
