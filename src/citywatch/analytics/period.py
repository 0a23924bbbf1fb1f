"""The period that a question is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from citywatch.errors import UsageError


@dataclass(frozen=True, slots=True)
class Period:
    """`start <= time < end`; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def parse(cls, start: str | None, end: str | None, zone: str) -> Period:
        """From dates or times as people write them. Raises UsageError."""
        period = cls(_moment(start, zone, "--from"), _moment(end, zone, "--to"))
        if period.start and period.end and period.start >= period.end:
            raise UsageError(f"--from {start} is not before --to {end}", hint="--to itself is not included")
        return period

    def sql(self, column: str) -> str:
        """Predicate on a TIMESTAMPTZ column."""
        bounds = []
        if self.start is not None:
            bounds.append(f"{column} >= TIMESTAMPTZ '{self.start.isoformat()}'")
        if self.end is not None:
            bounds.append(f"{column} < TIMESTAMPTZ '{self.end.isoformat()}'")
        return " AND ".join(bounds) or "true"


def _moment(text: str | None, zone: str, option: str) -> datetime | None:
    """A date is its midnight in the city; a time without an offset is the city's."""
    if text is None:
        return None
    try:
        moment = datetime.combine(date.fromisoformat(text), time()) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no date or time", hint="write 2026-05-01 or 2026-05-01T12:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
