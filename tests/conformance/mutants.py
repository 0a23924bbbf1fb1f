"""Runs a part of the CI profile against a mutant of citywatch: `python -m tests.conformance.mutants BY...`.

Exit code 0 = nothing was found (the mutant lives), CAUGHT = a discrepancy or an error was found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

import citywatch

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "citywatch"
CAUGHT = 3


@dataclass(frozen=True)
class Mutant:
    """`find` stands exactly once in `file` (below src/citywatch) and is replaced by `put`."""

    name: str
    file: str
    by: tuple[str, ...]
    find: str
    put: str

    def run(self, directory: Path) -> subprocess.CompletedProcess[str]:
        """Copy the package, change it, and look for discrepancies in another process."""
        copy = directory / "citywatch"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / self.file
        file.write_text(file.read_text("utf-8").replace(self.find, self.put), "utf-8")
        environment = os.environ | {"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}", "CITYWATCH_CONFORMANCE": "ci"}
        command = [sys.executable, "-m", "tests.conformance.mutants", str(copy), *self.by]
        return subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=240, check=False
        )


def mutants() -> list[Mutant]:
    """All of `mutants.yaml`."""
    entries = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text("utf-8"))
    return [Mutant(**{**entry, "by": tuple(entry["by"])}) for entry in entries]


def discrepancies(by: list[str]) -> Iterator[str]:
    """What the named files of examples and types of generated cases find, one after the other."""
    from tests.conformance.cases import Case, differences
    from tests.conformance.engines import StepAlone, fresh_directory
    from tests.conformance.examples import examples
    from tests.conformance.profiles import generated, parts
    from tests.conformance.strategies import CORRELATIONS, cases
    from tests.conformance.test_examples import event_by_event

    def wrong(case: Case) -> Iterator[str]:
        with fresh_directory() as directory:
            try:
                yield from differences(case, StepAlone().run(case, directory))
            except Exception as error:  # a mutant may fail in any way, and is caught by it
                yield repr(error)

    for example in examples():
        if example.file in by:
            yield from wrong(example.case)
            yield from wrong(event_by_event(example.case))
    for type_ in [name for name in by if name in CORRELATIONS]:
        for part in parts():
            for case in generated(cases([type_]), part=part, name=type_):
                yield from wrong(case)


if __name__ == "__main__":
    assert citywatch.__file__ == str(Path(sys.argv[1]) / "__init__.py"), citywatch.__file__
    found = next(discrepancies(sys.argv[2:]), None)
    print(found or "nothing was found")
    sys.exit(CAUGHT if found else 0)
