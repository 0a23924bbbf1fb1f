"""Gathering what is wrong, so that an author sees all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from citywatch.errors import Place, RuleError


class Problems:
    """Errors found so far."""

    def __init__(self) -> None:
        self.errors: list[RuleError] = []

    def add(self, what: str, where: Place, hint: str | None = None) -> None:
        """Note one."""
        self.errors.append(RuleError(what, where=where, hint=hint))

    def __len__(self) -> int:
        return len(self.errors)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint naming the known word that is most like `word`, or all of them when they are few and none is like it."""
    words = sorted(known)
    by_look = {w.lower().replace("_", "-"): w for w in words}
    if close := difflib.get_close_matches(word.lower().replace("_", "-"), by_look, n=1, cutoff=0.6):
        return f"did you mean {by_look[close[0]]}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 24 else None
