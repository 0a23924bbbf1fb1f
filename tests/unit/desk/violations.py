"""Violations as devices report them, for the tests of proposals."""

from __future__ import annotations

from typing import Any

from citywatch.settings import MINUTE
from citywatch.stores.desk.proposals import Violation

from .facts import NOW


def violation(id_: str, minute: float = 0, *, plate: str = "K1", code: int | None = 46, **details: Any) -> Violation:
    """A violation so many minutes after NOW."""
    source, state = details.pop("source", "drone/4"), details.pop("plate_state", None)
    return Violation(source, id_, NOW + round(minute * MINUTE), plate, state, code, {"precinct": 14, **details})


def corrected(id_: str, of: str, code: int | None, minute: float = 0, **more: Any) -> tuple[Any, ...]:
    """A row of the table of corrections."""
    of_source = more.pop("of_source", "drone/4")
    return ("citywatch/desk", id_, NOW + round(minute * MINUTE), of_source, of, code, more.pop("undoes", None))
