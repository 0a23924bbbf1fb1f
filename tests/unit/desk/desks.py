"""Kinds of desks, as the registry of stores has them."""

from __future__ import annotations

import pytest

from citywatch.stores import STORES
from tests.conformance.stores import CASES

_KINDS = {STORES["desk"][scheme]: name for name, case in CASES.items() for use, scheme in case.lines if use == "desk"}

DESKS = [
    pytest.param(CASES[name], id=name, marks=pytest.mark.cluster if CASES[name].cluster else ())
    for name in _KINDS.values()
]
"""One for each function of the registry."""

in_a_file = pytest.mark.parametrize("desk", [CASES["desk in a file"]], ids=["desk in a file"], indirect=True)
"""The test is about what only a desk in a file has, or does as quickly."""
