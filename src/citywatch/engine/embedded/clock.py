"""The engine's clock: how far in time everything has been received. µs UTC; it never goes back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]

BEGINNING = -(2**62)
"""The clock of a directory that has read nothing."""


class Clock:
    """The minimum over the live sources of the latest `received_at` heard of each.

    What is not registered as live (a bounded run is one source in one order) moves the clock by itself as long as no
    live source holds it back. One thread uses it at a time.
    """

    def __init__(self, kept: int = BEGINNING) -> None:
        self.now = kept
        self._live: dict[str, int] = {}

    def register(self, source: str) -> None:
        """A live source begins: the clock waits for it."""
        self._live.setdefault(source, self.now)

    def remove(self, source: str) -> None:
        """A live source has ended: the clock waits for it no more."""
        self._live.pop(source, None)

    def before(self, source: str, received: Times) -> Times:
        """The clock as it stands before each of a source's events; shape (n,). No source (empty) does not move it."""
        if not source:
            return np.full(len(received), self.now)
        heard = np.concatenate(([self._live.get(source, self.now)], received[:-1]))
        heard = np.maximum.accumulate(heard)
        before: Times = np.maximum(np.minimum(heard, self._others(source)), self.now)
        return before

    def hear(self, source: str, received: int) -> None:
        """An event of `source` was received then."""
        if source in self._live:
            self._live[source] = max(self._live[source], received)
        self._advance(min(received, self._others(source)))

    def idle(self, source: str, now: int) -> None:
        """A live source has nothing left to read: it follows real time."""
        if source in self._live:
            self.hear(source, now)

    def _others(self, source: str) -> int:
        return min((at for name, at in self._live.items() if name != source), default=2**62)

    def _advance(self, to: int) -> None:
        self.now = max(self.now, to)
