"""The examples, one sentence of the contract each, on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.counterexample import verdict
from tests.conformance.engines import Engine, engines
from tests.conformance.examples import Example, examples


@pytest.mark.parametrize("engine", [pytest.param(e, id=e.name) for e in engines()])
@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in examples()])
def test_the_engine_agrees_with_the_contract(example: Example, engine: type[Engine], tmp_path: Path) -> None:
    if not engine.TICKING and (example.case.clock or any("tick" in item for item in example.case.items)):
        pytest.skip(f"{engine.name} reads files: real time does not move its clock")
    case = engine().reading(example.case)
    if wrong := verdict(engine, case, engine().run(case, tmp_path)):
        pytest.fail(wrong, pytrace=False)
