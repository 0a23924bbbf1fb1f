"""How often people are seen to do what in front of cameras. Scores are not drawn: they follow from the behaviours."""

from __future__ import annotations

from functools import cache

from citywatch.scores import formula

PLANNED = ("Entering restricted areas",)
"""Left to planted incidents, so that nothing else explains their alerts."""

_WEIGHTS = {0: 30.0, 1: 25.0, 2: 25.0, 3: 20.0, 4: 15.0, 10: 2.0}
"""By the older watcher's score of a behaviour: the harmless are frequent."""


@cache
def frequencies() -> dict[str, float]:
    """Each known behaviour with how often it is seen, relative to the others."""
    known = formula()["behaviors"]
    return {name: 0.0 if name in PLANNED else _WEIGHTS[of["seed"]] for name, of in known.items()}
