"""How long the generated tests look: CITYWATCH_CONFORMANCE = quick (make check), ci (make test), soak (for hours).

A search is many short parts, each from a seed of its own: after its first ten cases Hypothesis begins to vary those it
has had, which here finds less than new ones do. The same seeds give the same cases in every run.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.cases import Case

PARTS = {"quick": 1, "ci": 3, "soak": 250}
"""Parts of a search for each engine and correlation type."""

PROFILE = os.environ.get("CITYWATCH_CONFORMANCE", "ci")

CASES_OF_A_PART = 10


def parts() -> range:
    """Numbers of the parts that the profile wants."""
    return range(PARTS[PROFILE])


def generated(cases: st.SearchStrategy[Case], *, part: int, name: str) -> list[Case]:
    """The cases of one part, the same that `search` tries first."""
    found: list[Case] = []
    search(cases, found.append, part=part, name=name)
    return found


def search(cases: st.SearchStrategy[Case], check: Callable[[Case], None], *, part: int, name: str) -> None:
    """Run `check` on the cases of one part; what Hypothesis raises is about the smallest that fails."""

    @seed(zlib.crc32(f"{name} {part}".encode()))
    @settings(
        max_examples=CASES_OF_A_PART,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(cases)
    def run(case: Case) -> None:
        check(case)

    wrapped: Any = run
    wrapped()
