"""How long the generated tests look: CITYWATCH_CONFORMANCE = quick (make check), ci (make test), soak (hours if wanted)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = {"quick": 10, "ci": 60, "soak": 3000}
"""Cases for each engine and correlation type."""

PROFILE = os.environ.get("CITYWATCH_CONFORMANCE", "ci")


def thorough(share: float = 1.0) -> Callable[[Any], Any]:
    """Hypothesis settings of the profile: the same cases in every run, but for `soak`, which draws new ones."""
    return settings(
        max_examples=max(1, int(EXAMPLES[PROFILE] * share)),
        derandomize=PROFILE != "soak",
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        print_blob=False,
    )
