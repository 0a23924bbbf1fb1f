"""Whether a live source is heard: one that cannot be reached, or is silent while others go on, makes an outage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from citywatch.settings import MINUTE, SECOND

BRIEF = 10 * SECOND
"""A source that was out of reach for less has not been silent: its sender keeps so much."""

LONG = MINUTE
"""After so long the silence is told while it lasts. What waits for silence is decided later than that, as a rule."""

_KNOWN_AFTER = 10 * MINUTE
"""After so long a source's ways are known: who speaks by it, and how long its pauses are."""

_UNUSUAL = 3
"""A pause is a silence when it is so many times as long as the longest one before."""

_SPEAKERS = 10_000


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence of a live source; times in µs UTC, `until` None as long as it lasts. `why` is for people."""

    source: str
    since: int
    until: int | None
    why: str
    speakers: frozenset[str] | None


class Hearing:
    """What is known of one live source; of use to any thread.

    Parameters
    ----------
    born
        When it was first listened to, µs UTC.
    patience
        µs after which a silence is told while it lasts.
    trouble
        Says why the source cannot be reached at present; None = it can.
    """

    def __init__(
        self, name: str, born: int, patience: int = LONG, trouble: Callable[[], str | None] = lambda: None
    ) -> None:
        self.heard_at = born
        self._name, self._born, self._patience, self._trouble = name, born, patience, trouble
        self._longest = 0
        self._speakers: set[str] = set()
        self._reached_at = born
        self._why: str | None = None
        self._told: Silence | None = None
        self._lock = threading.Lock()

    def hear(self, speakers: Iterable[str], now: int) -> None:
        """Events of these sources have come."""
        with self._lock:
            if self._told is None and self._why is None:
                self._longest = max(self._longest, now - self.heard_at)
            self.heard_at = now
            if len(self._speakers) <= _SPEAKERS:
                self._speakers.update(speakers)

    def look(self, now: int, *, others: bool) -> Silence | None:
        """A silence that has begun (after a while) or has ended. `others`: other sources were heard of late."""
        trouble = self._trouble()
        with self._lock:
            if trouble is not None:
                self._why = trouble
                return self._begun(self._reached_at, now, trouble)
            if self._told is not None and self._why is None and self.heard_at <= self._told.since:
                return None  # it can be reached, and is silent still
            since, self._reached_at = self._reached_at, now
            was, self._why = self._why, None
            if self._told is not None:
                ended, self._told = replace(self._told, until=now), None
                return ended
            if was is not None and now - since > BRIEF:
                return Silence(self._name, since, now, was, self._known(since))
            if others and self._unusual(now):
                return self._begun(self.heard_at, now, "nothing comes while others are heard")
            return None

    @property
    def silent(self) -> str | None:
        """Why it is not heard, in words; None = it is."""
        return self._why or (self._told.why if self._told else None)

    def _unusual(self, now: int) -> bool:
        """Whether several speakers, whose pauses are known, are silent together for longer than ever."""
        known = self._known(self.heard_at)
        return known is not None and len(known) > 1 and now - self.heard_at > max(LONG, _UNUSUAL * self._longest)

    def _known(self, since: int) -> frozenset[str] | None:
        """Who speaks by it, when it had been listened to for long enough to know."""
        if since - self._born < _KNOWN_AFTER or len(self._speakers) > _SPEAKERS:
            return None
        return frozenset(self._speakers)

    def _begun(self, since: int, now: int, why: str) -> Silence | None:
        if self._told is not None or now - since <= self._patience:
            return None
        self._told = Silence(self._name, since, None, why, self._known(since))
        return self._told
