"""Hours of the day and days of the week, in the city's local time: `22:00-06:00`, `mon-fri 08:00-18:00`, `sat-sun`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

PATTERN = (
    r"^((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?)? ?"
    r"(([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00))?$"
)
"""What `Span.read` takes, for editors."""

_DAY = 24 * 60


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

    def end_of(self, local: datetime) -> datetime | None:
        """When the span that holds a local time ends; None when none does."""
        minute = local.hour * 60 + local.minute
        for back in (0, 1):  # it may have begun the day before
            day = local.date() - timedelta(days=back)
            if day.weekday() in self.days and self.begin <= minute + back * _DAY < self.end:
                days, rest = divmod(self.end, _DAY)
                return datetime.combine(day + timedelta(days), time(*divmod(rest, 60)), local.tzinfo)
        return None


@dataclass(frozen=True, slots=True)
class Hours:
    """Several spans; a time is within when any of them holds it."""

    spans: tuple[Span, ...]

    def holds(self, local: datetime) -> bool:
        """Whether a local time is within."""
        return any(span.end_of(local) for span in self.spans)

    def end_of(self, local: datetime) -> datetime | None:
        """When a local time will be outside, spans that follow each other taken as one; None when it is outside."""
        end = None
        for _ in range(2 * len(DAYS) * len(self.spans)):  # hours that never end are cut after a week or so
            found = max(filter(None, (span.end_of(end or local) for span in self.spans)), default=None)
            if found is None:
                break
            end = found
        return end

    def __str__(self) -> str:
        return ", ".join(span.text for span in self.spans)


def _days(text: str) -> Iterator[int]:
    first, _, last = text.partition("-")
    day, end = DAYS.index(first), DAYS.index(last or first)
    yield day
    while day != end:
        day = (day + 1) % 7
        yield day
