"""A messy file of tickets in the city's 43 columns, made from a seed: what real files do wrong, on purpose."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta
from pathlib import Path

HEADER = (
    "Summons Number,Plate ID,Registration State,Plate Type,Issue Date,Violation Code,Vehicle Body Type,Vehicle Make,"
    "Issuing Agency,Street Code1,Street Code2,Street Code3,Vehicle Expiration Date,Violation Location,"
    "Violation Precinct,Issuer Precinct,Issuer Code,Issuer Command,Issuer Squad,Violation Time,Time First Observed,"
    "Violation County,Violation In Front Of Or Opposite,House Number,Street Name,Intersecting Street,"
    "Date First Observed,Law Section,Sub Division,Violation Legal Code,Days Parking In Effect    ,"
    "From Hours In Effect,To Hours In Effect,Vehicle Color,Unregistered Vehicle?,Vehicle Year,Meter Number,"
    "Feet From Curb,Violation Post Code,Violation Description,No Standing or Stopping Violation,Hydrant Violation,"
    "Double Parking Violation"
).split(",")

STREETS = {
    "3 AVE": ["3rd Ave", "3 AVE", "THIRD AVENUE", "3rd  Avenue", "NB 3RD AVE @ E 14TH", "3 AV (N/B) @ E 20"],
    "QUEENS BLVD": ["Queens Blvd", "QUEENS BOULEVARD", "EB QUEENS BLVD @ 56T", "QUEENS BLVD (W/B) @", "Queens Bl."],
    "W 37 ST": ["W 37th St", "WEST 37 STREET", "W 37TH STR"],
    "OCEAN PKWY": ["Ocean Pky", "NB OCEAN PKWY @ BEVE", "OCEAN PARKWAY"],
    "AVENUE T": ["Avenue T", "AVE T", "AV T"],
    "TAYLOR AVE": ["I/O TAYLOR AVE", "Taylor Ave."],
    "BROADWAY": ["Broadway", "BROADWAY", "broadway"],
    "ST MARKS PL": ["St Marks Pl", "SAINT MARKS PLACE", "ST. MARKS PL"],
}
"""Street -> ways in which it is written."""

COLORS = {
    "WHITE": ["WH", "WHITE", "WHT", "WT", "wh"],
    "GRAY": ["GY", "GREY", "GRAY", "GRY", "LTGY"],
    "BLACK": ["BK", "BLK", "BLK.", "BLACK"],
    "SILVER": ["SILVE", "SL"],
    "WHBL": ["WHBL"],
}
"""Colour -> ways in which it is written."""

_EDGES = [
    ("03/12/2017", "0130A"),  # the hour before the clocks go forward
    ("03/12/2017", "0230A"),  # an hour that there was not
    ("03/12/2017", "0330A"),
    ("11/06/2016", "0130A"),  # an hour that there was twice
    ("11/06/2016", "0030A"),
    ("12/31/2016", "1159P"),
    ("01/01/2017", "1200A"),
    ("07/31/2016", "1159P"),
    ("08/01/2016", "0000A"),
    ("07/31/2017", "1230A"),
    ("8/1/2017", "1230P"),
]
_TIMES_OF_NO_DAY = ["", "1399P", "2561A", "ABCD", "99", "0860A"]
_DATES_OF_NO_YEAR = ["02/30/2017", "13/01/2017", "", "June 1"]
_BOROUGHS = ["NY", "MN", "MAN", "K", "BK", "KINGS", "Q", "QN", "QUEENS", "BX", "BRONX", "R", "ST", "RICH", "", "??"]


def write(path: Path, rows: int = 900, seed: int = 7) -> Path:
    """Write the file; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - the same file every time, nothing secret
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HEADER)
        for number in range(rows):
            row = _ticket(rng, number)
            writer.writerow([row.get(name.strip(), "") for name in HEADER])
            if rng.random() < 0.02:
                writer.writerow([row.get(name.strip(), "") for name in HEADER])  # sent twice
            if rng.random() < 0.01:
                writer.writerow(["4900000000", "CUT"])
    return path


def _ticket(rng: random.Random, number: int) -> dict[str, str]:
    day, clock = _EDGES[number] if number < len(_EDGES) else (_day(rng), _clock(rng))
    return {
        "Summons Number": str(4_000_000_000 + number),
        "Plate ID": rng.choice(["BLANKPLATE", "N/A", "", "0000", "X", *(f"AB{n % 40:02}C" for n in range(60))]),
        "Registration State": rng.choice(["NY", "NY", "NY", "NJ", "PA", "99", ""]),
        "Plate Type": rng.choice(["PAS", "COM", "999"]),
        "Issue Date": day,
        "Violation Code": rng.choice(["21", "36", "38", "38", "14", "20", "46", "99", "41", "0", "94", ""]),
        "Vehicle Body Type": rng.choice(["SUBN", "4DSD", "subn", "VAN", ""]),
        "Vehicle Make": rng.choice(["FORD", "Ford", "TOYOT", "HONDA", "ME/BE", ""]),
        "Issuing Agency": rng.choice(["T", "P", "V"]),
        "Violation Precinct": rng.choice(
            ["0", "1", "14", "19", "20", "22", "24", "23", "43", "60", "116", "120", "968"]
        ),
        "Violation Time": clock,
        "Violation County": rng.choice(_BOROUGHS),
        "House Number": rng.choice(["12", "330", "7-21"]),
        "Street Name": rng.choice([written for ways in STREETS.values() for written in ways] + [""]),
        "Vehicle Color": rng.choice([written for ways in COLORS.values() for written in ways] + [""]),
        "Vehicle Year": rng.choice(["0", "2001", "2015", "2016"]),
    }


def _day(rng: random.Random) -> str:
    if rng.random() < 0.02:
        return rng.choice(_DATES_OF_NO_YEAR)
    day = date(2016, 6, 1) + timedelta(days=rng.randrange(500))
    return rng.choice([f"{day:%m/%d/%Y}", f"{day.month}/{day.day}/{day.year}", f"{day:%m/%d/%y}"])


def _clock(rng: random.Random) -> str:
    if rng.random() < 0.05:
        return rng.choice(_TIMES_OF_NO_DAY)
    return f"{rng.randrange(1, 13):02}{rng.randrange(60):02}{rng.choice('AP')}"
