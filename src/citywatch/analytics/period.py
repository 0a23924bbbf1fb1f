"""The period that a question is asked about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """`start <= time < end` in microseconds UTC; None is open."""

    start: int | None = None
    end: int | None = None

    def sql(self, column: str) -> str:
        """Predicate on a TIMESTAMPTZ column."""
        bounds = [
            f"{column} {sign} make_timestamptz({edge})"
            for sign, edge in ((">=", self.start), ("<", self.end))
            if edge is not None
        ]
        return " AND ".join(bounds) or "true"
