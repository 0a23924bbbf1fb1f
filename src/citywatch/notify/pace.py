"""How fast: at most so many messages in a time, and how long to wait after a failure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from citywatch.settings import DAY, MINUTE, SECOND, duration

PATTERN = r"^[1-9][0-9]{0,4}/[1-9][0-9]*(s|m|h|d)$"
"""What `Rate.read` takes, for editors."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `messages` in any `window` (µs)."""

    messages: int
    window: int
    text: str

    @classmethod
    def read(cls, text: str) -> Rate:
        """`60/1m`; raises ValueError."""
        number, slash, window = text.partition("/")
        if not (slash and number.isascii() and number.isdigit() and 0 < int(number) < 100_000):
            raise ValueError(f"{text!r} is no bound: write 10/1m for at most ten messages in any minute")
        span = duration(window)
        if span == 0:
            raise ValueError(f"{text!r} is no bound: its time is zero")
        return cls(int(number), span, text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait after failures, in µs.

    `first` after the first, twice as long after each further one, `most` at most; `refused` when the receiver wants
    nothing of us; after `give_up` a message is not tried any more.
    """

    first: int = 5 * SECOND
    most: int = 15 * MINUTE
    refused: int = 10 * MINUTE
    give_up: int = 3 * DAY

    def wait(self, failures: int) -> int:
        """Microseconds after so many failures in a row; spread by half, so that many do not come back at once."""
        return self._spread(min(self.most, self.first * 2 ** min(failures - 1, 40)))

    def wait_refused(self) -> int:
        """Microseconds to leave alone a receiver that wants nothing of us."""
        return self._spread(self.refused)

    @staticmethod
    def _spread(wait: int) -> int:
        return int(wait * random.uniform(0.75, 1.25))  # noqa: S311 - nothing depends on its being unpredictable
