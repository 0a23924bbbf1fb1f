"""`precincts.geojson` of a data directory: outlines of the police precincts, for events that have only a position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from citywatch.errors import GazetteerError, RuleError
from citywatch.mappings.areas import Areas, Degrees
from citywatch.records.columns import Positions
from citywatch.rules.zones import areas

_HIGHEST = 32_767


class Precincts:
    """Numbers and outlines; one precinct may have several of these."""

    def __init__(self, numbers: Sequence[int] = (), outlines: Sequence[Any] = ()) -> None:
        order = np.argsort(np.array(numbers, np.int64), kind="stable")
        self.numbers = np.array(numbers, np.int64)[order]
        self._areas = Areas([outlines[n] for n in order])

    def at(self, lat: Degrees, lon: Degrees) -> Positions:
        """The precinct that holds each position, its border included; the lowest of several; 0 = none. Shape (n,)."""
        found = np.zeros(len(lat), np.int64)
        point, outline = self._areas.holding(lat, lon)
        found[point[::-1]] = self.numbers[outline[::-1]]  # from the highest number to the lowest: the last one stays
        return found


def load_precincts(file: Path) -> Precincts:
    """The precincts of a GeoJSON file; none when there is no file. Raises GazetteerError."""
    if not file.exists():
        return Precincts()
    try:
        found = list(areas(file, "precinct", _number))
    except RuleError as error:
        raise GazetteerError(error.what, where=error.where, hint=error.hint) from error
    return Precincts([number for number, _ in found], [outline for _, outline in found])


def _number(value: Any) -> int | None:
    """A precinct as the city publishes it: a number, or the text of one."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,5}(\.0)?", str(value)):
        return None
    number = int(float(value))
    return number if 1 <= number <= _HIGHEST else None
