"""The suite can fail: seeded faults of the engine are found by the CI profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.mutants import CAUGHT, SOURCE, Mutant, mutants
from tests.conformance.profiles import PROFILE

every_mutant = pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in mutants()])


@every_mutant
def test_a_mutant_changes_source_that_stands_exactly_once(mutant: Mutant) -> None:
    assert (SOURCE / mutant.file).read_text("utf-8").count(mutant.find) == 1
    assert mutant.find != mutant.put


@pytest.mark.skipif(PROFILE == "quick", reason="the quick profile looks only whether the mutants still apply")
@every_mutant
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    done = mutant.run(tmp_path)
    assert done.returncode == CAUGHT, f"the mutant lives: {mutant.name}\n{done.stdout}{done.stderr}"


def test_there_are_at_least_twenty_five_mutants_of_distinct_names() -> None:
    names = {mutant.name for mutant in mutants()}
    assert len(names) == len(mutants()) >= 25
