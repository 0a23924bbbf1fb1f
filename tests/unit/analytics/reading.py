"""The file of tickets read in plain Python, a row at a time, as the contract says: it shares no code with citywatch."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.unit.analytics.city_tickets import COLORS, STREETS

_BOROUGHS = {
    "Manhattan": ("NY", "MN", "MAN"),
    "Brooklyn": ("K", "BK", "KINGS"),
    "Queens": ("Q", "QN", "QUEENS"),
    "Bronx": ("BX", "BRONX"),
    "Staten Island": ("R", "ST", "RICH"),
}
_CITY = ZoneInfo("America/New_York")
_FRAMES = ["night", "morning", "afternoon", "evening"]
_SEASONS = {12: "winter", 1: "winter", 2: "winter", 3: "spring", 4: "spring", 5: "spring"} | {
    6: "summer",
    7: "summer",
    8: "summer",
    9: "autumn",
    10: "autumn",
    11: "autumn",
}


@dataclass
class Ticket:
    """One ticket, in the city's own time."""

    when: datetime
    has_clock: bool
    row: dict[str, str]

    def __getitem__(self, column: str) -> str | None:
        return self.row[column].strip() or None


def read(path: Path) -> tuple[list[Ticket], int]:
    """Tickets, each summons number once, and how many rows cannot be read."""
    tickets: dict[str, Ticket] = {}
    refused = 0
    with path.open(newline="") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines)]
        for cells in lines:
            row = dict(zip(header, cells, strict=False))
            day = _date(row["Issue Date"]) if len(cells) == len(header) else None
            if day is None:
                refused += 1
                continue
            minutes = _minutes(row["Violation Time"])
            when = _shown(day + timedelta(minutes=minutes or 0))
            tickets.setdefault(row["Summons Number"], Ticket(when, minutes is not None, row))
    return list(tickets.values()), refused


def _shown(written: datetime) -> datetime:
    """What clocks in the city show then: an hour that a night in March leaves out is the next one."""
    return written.replace(tzinfo=_CITY).astimezone(UTC).astimezone(_CITY).replace(tzinfo=None)


def _date(text: str) -> datetime | None:
    for form in ("%m/%d/%Y", "%m/%d/%y"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _minutes(text: str) -> int | None:
    if len(text) != 5 or not text[:4].isdigit() or text[4] not in "AP":
        return None
    hour, minute = int(text[:2]), int(text[2:4])
    if hour > 12 or minute > 59:
        return None
    return (hour % 12 + (12 if text[4] == "P" else 0)) * 60 + minute


def _plate(ticket: Ticket) -> str | None:
    text = ticket["Plate ID"]
    return None if text in (None, "BLANKPLATE", "N/A") else text


def _number(column: str) -> Callable[[Ticket], int | None]:
    return lambda ticket: int(text) if (text := ticket[column]) is not None else None


def _written(column: str, ways: dict[str, list[str]]) -> Callable[[Ticket], str | None]:
    meant = {" ".join(written.split()): name for name, all_ways in ways.items() for written in all_ways}
    return lambda ticket: meant[" ".join(text.split())] if (text := ticket[column]) else None


def _upper(column: str) -> Callable[[Ticket], str | None]:
    return lambda ticket: text.upper() if (text := ticket[column]) else None


def _clock(value: Callable[[datetime], Any]) -> Callable[[Ticket], Any]:
    return lambda ticket: value(ticket.when) if ticket.has_clock else None


VALUES: dict[str, Callable[[Ticket], Any]] = {
    "violation_code": _number("Violation Code"),
    "year": lambda t: t.when.year,
    "month": lambda t: f"{t.when.year}-{t.when.month:02}",
    "season": lambda t: _SEASONS[t.when.month],
    "local_date": lambda t: t.when.date().isoformat(),
    "local_weekday": lambda t: t.when.isoweekday(),
    "local_hour": _clock(lambda when: when.hour),
    "time_bin": _clock(lambda when: f"{when.hour // 4 * 4:02}-{when.hour // 4 * 4 + 3:02}"),
    "timeframe": _clock(lambda when: _FRAMES[when.hour // 6]),
    "minute_of_day": _clock(lambda when: when.hour * 60 + when.minute),
    "precinct": lambda t: int(t.row["Violation Precinct"]) or None,
    "borough": lambda t: next((b for b, ways in _BOROUGHS.items() if t["Violation County"] in ways), None),
    "street": _written("Street Name", STREETS),
    "plate_state": lambda t: None if t["Registration State"] == "99" else t["Registration State"],
    "plate": _plate,
    "plate_type": lambda t: t["Plate Type"],
    "vehicle_make": _upper("Vehicle Make"),
    "vehicle_body": _upper("Vehicle Body Type"),
    "vehicle_color": _written("Vehicle Color", COLORS),
    "vehicle_year": lambda t: int(t.row["Vehicle Year"]) or None,
    "issuer_agency": lambda t: t["Issuing Agency"],
    "device_id": lambda _: None,
}
"""Field -> its value of a ticket; None where it is not known."""


def counted(tickets: Iterable[Ticket], field: str) -> tuple[Counter[Any], int]:
    """Value -> tickets, and how many have none."""
    values = [VALUES[field](ticket) for ticket in tickets]
    return Counter(value for value in values if value is not None), sum(value is None for value in values)
