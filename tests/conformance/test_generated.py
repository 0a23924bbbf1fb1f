"""Generated rules and events: every engine agrees with the oracle, whatever the batches, restarts and shards."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tests.conformance.cases import Case
from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, engines, fresh_directory
from tests.conformance.profiles import parts, search
from tests.conformance.strategies import CORRELATIONS, cases

every_engine = pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines()])
every_part = pytest.mark.parametrize("part", parts())


@every_engine
@every_part
@pytest.mark.parametrize("type_", CORRELATIONS)
def test_a_correlation_agrees_with_the_contract(type_: str, part: int, engine: type[Engine]) -> None:
    _agrees(engine, cases([type_]), part, type_)


@every_engine
@every_part
def test_many_rules_together_agree_with_the_contract(part: int, engine: type[Engine]) -> None:
    types = st.lists(st.sampled_from(CORRELATIONS), max_size=5)
    _agrees(engine, types.flatmap(cases), part, "many")


def _agrees(engine: type[Engine], some: st.SearchStrategy[Case], part: int, name: str) -> None:
    if part >= engine.PARTS:
        pytest.skip(f"{engine.name} takes long: {engine.PARTS} part(s) of each search are enough")
    search(some, lambda case: _check(engine, case), part=part, name=name)


def _check(engine: type[Engine], case: Case) -> None:
    case = engine().reading(case)
    with fresh_directory() as directory:
        wrong = verdict(engine, case, engine().run(case, directory))
    if wrong:
        pytest.fail(wrong, pytrace=False)
