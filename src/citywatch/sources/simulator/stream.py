"""A stream: one kind of event, numbered since 1970, so that any stretch of time can be made without what came before.

Event n of a steady stream happens at (n + something in [0, 1)) / rate seconds since 1970 and belongs to device n modulo
the number of devices. Every device so reports once a period.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from citywatch.settings import SECOND
from citywatch.sources.simulator.draws import Draws, Integers
from citywatch.sources.simulator.text import Piece, Text, whole


@dataclass(frozen=True, slots=True)
class Planted:
    """Something that an alert is expected for, of `rule` with the key `group`: one line of the truth file.

    The alert has a match between `begin` and `end` (µs); `lat` and `lon` are of its first event.
    """

    kind: str
    rule: str
    group: Mapping[str, Any]
    begin: int
    end: int
    lat: float
    lon: float
    events: tuple[tuple[str, str], ...]
    """(source, id) of the events in it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Some events of a stream: their numbers, times (µs) and bodies (`text.event`), in the same order."""

    numbers: Integers
    times: Integers
    bodies: Text
    planted: tuple[Planted, ...] = ()


class Stream(ABC):
    """One kind of event. `rate` is in events a second."""

    name: ClassVar[str]
    share: ClassVar[float]
    """Of the events of the whole city."""
    can_be_late: ClassVar[bool] = True

    def __init__(self, seed: int, rate: float) -> None:
        self.rate = rate
        self.draws = Draws(seed, self.name)
        self._run = hashlib.blake2b(f"{seed}/{self.name}/{rate!r}".encode(), digest_size=3).hexdigest()

    @abstractmethod
    def between(self, begin: int, end: int) -> Drawn:
        """The events numbered into begin <= time < end; a stream may let some happen a little later."""

    def ids(self, numbers: Integers, kind: str = "") -> list[Piece]:
        """Pieces of the events' ids: the same event of another seed or rate has another one."""
        return [f"{kind}{self._run}-", whole(numbers)]

    def id(self, number: int, kind: str = "") -> str:
        """The id of one event."""
        return f"{kind}{self._run}-{number}"


class Steady(Stream):
    """A stream whose devices report in turn, each once a period."""

    period: ClassVar[float]
    """Seconds between two events of a device; the rate decides how many devices there are."""

    @classmethod
    def devices_at(cls, rate: float) -> int:
        """How many devices it takes for `rate` events a second of this stream."""
        return max(1, round(rate * cls.period))

    @property
    def devices(self) -> int:
        """How many devices this stream has."""
        return self.devices_at(self.rate)

    def between(self, begin: int, end: int) -> Drawn:
        """The events whose turn comes in that time."""
        step = SECOND / self.rate
        numbers = np.arange(int(begin / step) - 1, int(end / step) + 2, dtype=np.int64)
        times = ((numbers + self.draws.unit(numbers, "time")) * step).astype(np.int64)
        inside = (times >= begin) & (times < end)
        return self._draw(numbers[inside], times[inside])

    @abstractmethod
    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        """The events with these numbers, due at these times."""
