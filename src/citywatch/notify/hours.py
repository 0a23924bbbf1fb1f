"""Hours of the day and days of the week, in the city's local time: `22:00-06:00`, `mon-fri 08:00-18:00`, `sat-sun`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

PATTERN = (
    r"^((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?)? ?"
    r"(([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00))?$"
)
"""What `Span.read` takes, for editors."""

_DAY = 24 * 60

LONGEST = timedelta(days=8)
"""Hours that have not ended by then never do: they are cut."""


@dataclass(frozen=True, slots=True)
class Span:
    """From a minute of the day up to another one, on days of the week (0 = Monday).

    One that ends at or before its beginning ends on the next day; the day is that on which it begins.
    """

    begin: int
    end: int
    days: frozenset[int]
    text: str

    @classmethod
    def read(cls, text: str) -> Span:
        """A span as it is written; raises ValueError."""
        words = text.lower().split()
        if not re.match(PATTERN, " ".join(words)) or not words:
            raise ValueError(f"{text!r} is no time of the week: write 22:00-06:00, mon-fri 08:00-18:00 or sat-sun")
        days, hours = ("mon-sun", words[0]) if ":" in words[0] else (words[0], (words[1:] or ["00:00-24:00"])[0])
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
        if begin == end:
            raise ValueError(f"{text!r} begins and ends at the same time: the whole day is 00:00-24:00")
        return cls(begin, end if end > begin else end + _DAY, frozenset(_days(days)), text)

    def rest(self, local: datetime) -> int:
        """Minutes of the clock until the span that holds a local time is over; 0 when none holds it."""
        minute = local.hour * 60 + local.minute
        for back in (0, 1):  # it may have begun the day before
            begun = local.date() - timedelta(days=back)
            if begun.weekday() in self.days and self.begin <= minute + back * _DAY < self.end:
                return self.end - minute - back * _DAY
        return 0


@dataclass(frozen=True, slots=True)
class Hours:
    """Several spans; a time is within when any of them holds it."""

    spans: tuple[Span, ...]

    def holds(self, local: datetime) -> bool:
        """Whether a local time is within."""
        return self._rest(local) > 0

    def end_of(self, local: datetime) -> datetime | None:
        """When the clock will first show a time outside, spans that follow each other taken as one; None: it does.

        What the clock shows decides in the nights in which it is put forward or back, too: quiet hours until 02:30 end
        when it goes from 02:00 to 03:00, and those from 01:00 to 01:30 come twice when 01:00 does.
        """
        if not self.holds(local):
            return None
        end, latest = local.replace(second=0, microsecond=0), local.astimezone(UTC) + LONGEST
        while (rest := self._rest(end)) and end.astimezone(UTC) < latest:
            end = _later(end, rest)
        return end

    def _rest(self, local: datetime) -> int:
        return max((span.rest(local) for span in self.spans), default=0)

    def __str__(self) -> str:
        return ", ".join(span.text for span in self.spans)


def _later(local: datetime, minutes: int) -> datetime:
    """A local time so many minutes later, or earlier: at most one minute behind the next change of the clock."""
    while True:
        later = (local.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(local.tzinfo)
        if minutes == 1 or later.utcoffset() == local.utcoffset():
            return later
        minutes //= 2


def _days(text: str) -> Iterator[int]:
    first, _, last = text.partition("-")
    day, end = DAYS.index(first), DAYS.index(last or first)
    yield day
    while day != end:
        day = (day + 1) % 7
        yield day
