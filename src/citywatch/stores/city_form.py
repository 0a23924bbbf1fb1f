"""Tickets as the city's own files of parking violations have them: 43 columns, in its order and with its names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

COLUMNS = (
    "Summons Number",
    "Plate ID",
    "Registration State",
    "Plate Type",
    "Issue Date",
    "Violation Code",
    "Vehicle Body Type",
    "Vehicle Make",
    "Issuing Agency",
    "Street Code1",
    "Street Code2",
    "Street Code3",
    "Vehicle Expiration Date",
    "Violation Location",
    "Violation Precinct",
    "Issuer Precinct",
    "Issuer Code",
    "Issuer Command",
    "Issuer Squad",
    "Violation Time",
    "Time First Observed",
    "Violation County",
    "Violation In Front Of Or Opposite",
    "House Number",
    "Street Name",
    "Intersecting Street",
    "Date First Observed",
    "Law Section",
    "Sub Division",
    "Violation Legal Code",
    "Days Parking In Effect    ",
    "From Hours In Effect",
    "To Hours In Effect",
    "Vehicle Color",
    "Unregistered Vehicle?",
    "Vehicle Year",
    "Meter Number",
    "Feet From Curb",
    "Violation Post Code",
    "Violation Description",
    "No Standing or Stopping Violation",
    "Hydrant Violation",
    "Double Parking Violation",
)
"""As the city spells them, blanks at the end included."""

_COUNTIES = {"Manhattan": "NY", "Brooklyn": "K", "Queens": "Q", "Bronx": "BX", "Staten Island": "R"}
_UNKNOWN_STATE = "99"
_UNKNOWN_TYPE = "999"
_LAW_SECTION = "408"
_HOUSE = re.compile(r"(\d[\d\w/-]*)\s+(\S.*)")
_FORMULA = re.compile(r"[=+\-@]")


def city_form(tickets: Iterable[Mapping[str, Any]], zone: str) -> str:
    """The file of these tickets; dates and times are local in the IANA zone of the city."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    local = ZoneInfo(zone)
    for ticket in tickets:
        row = _row(ticket, datetime.fromisoformat(ticket["time"]).astimezone(local))
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def _row(ticket: Mapping[str, Any], when: datetime) -> dict[str, Any]:
    house, road = _house_and_road(ticket)
    first = {"Street Code1": 0, "Street Code2": 0, "Street Code3": 0, "Vehicle Expiration Date": 0}
    return first | {
        "Summons Number": ticket["summons_number"],
        "Plate ID": ticket["plate"],
        "Registration State": ticket["plate_state"] or _UNKNOWN_STATE,
        "Plate Type": ticket["plate_type"] or _UNKNOWN_TYPE,
        "Issue Date": f"{when:%m/%d/%Y}",
        "Violation Code": ticket["violation_code"],
        "Vehicle Body Type": ticket["vehicle_body"],
        "Vehicle Make": ticket["vehicle_make"],
        "Issuing Agency": ticket["issuer_agency"],
        "Violation Location": ticket["precinct"],
        "Violation Precinct": ticket["precinct"] or 0,
        "Issuer Precinct": 0,
        "Issuer Code": 0,
        "Violation Time": None if ticket["time_precision"] == "day" else _clock(when),
        "Violation County": _COUNTIES.get(ticket["borough"] or ""),
        "House Number": house,
        "Street Name": road,
        "Date First Observed": 0,
        "Law Section": _LAW_SECTION,
        "Vehicle Color": ticket["vehicle_color"],
        "Vehicle Year": ticket["vehicle_year"] or 0,
        "Feet From Curb": 0,
        "Violation Description": f"{ticket['violation_code']}-{ticket['offence']}" if ticket["offence"] else None,
    }


def _clock(when: datetime) -> str:
    """`0143A`, `1237P`."""
    return f"{when:%I%M}{'A' if when.hour < 12 else 'P'}"


def _house_and_road(ticket: Mapping[str, Any]) -> tuple[str | None, str | None]:
    address = ticket["address"] or ticket["street"]
    if address and (match := _HOUSE.fullmatch(address.strip())):
        return match[1], match[2]
    return None, address


def _cell(value: Any) -> str:
    """Text on one line, which no spreadsheet takes for a formula."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str("" if value is None else value)).split())
    return f" {text}" if isinstance(value, str) and _FORMULA.match(text) else text
