"""The public files, read by the mappings and by a plain reading with the csv module."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.settings import Settings
from citywatch.sources import open_source

PUBLIC = Path(os.environ.get("CITYWATCH_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
CITY = ZoneInfo("America/New_York")
FILES = {
    "fy2017_head_2099.csv": 0,
    "fy2017_random_1200.csv": 0,
    "fy2023_sample_4695_truncated.csv": 1,
    "fy_tiny_sample.csv": 0,
    "nyc_fy2017_extract_1000_9col.csv": 384,
    "nyc_fy2017_extract_1000_9col_original.csv": 0,
    "open_violations_1000.csv": 0,
}
BOROUGHS = {
    "Manhattan": ["NY", "MN", "MAN"],
    "Brooklyn": ["K", "BK", "KINGS"],
    "Queens": ["Q", "QN", "QNS", "QUEENS"],
    "Bronx": ["BX", "BRONX"],
    "Staten Island": ["R", "ST", "RICH"],
}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"the public data sets are not in {PUBLIC}"),
]


def _read(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    parser = Parser(Settings(), load_mappings(), threads=2)
    parsed = [parser.parse(chunk) for source in open_source(str(path)) for chunk in source.chunks()]
    return [e for p in parsed for e in p.events.to_pylist()], [r for p in parsed for r in p.rejected.to_pylist()]


def _plain(path: Path) -> dict[str, dict[str, Any]]:
    """The contract's sentences on ticket files in plain Python: tickets by summons number."""
    tickets = {}
    with path.open(newline="") as file:
        reader = csv.reader(file)
        names = [re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") for name in next(reader)]
        for row in reader:
            record = {n: v.strip() for n, v in zip(names, row, strict=False) if v.strip() not in ("", "NA")}
            if len(row) == len(names) and (ticket := _ticket(record)):
                tickets[ticket["id"]] = ticket
    return tickets


def _ticket(record: dict[str, str]) -> dict[str, Any] | None:
    day = next((d for form in ("%m/%d/%Y", "%m/%d/%y") if (d := _date(record.get("issue_date", ""), form))), None)
    if day is None:
        return None
    clock = re.fullmatch(r"(\d\d):?(\d\d)([AP])", record.get("violation_time", ""))
    known = clock is not None and int(clock[1]) <= 12 and int(clock[2]) < 60
    hour, minute = (int(clock[1]) % 12 + 12 * (clock[3] == "P"), int(clock[2])) if clock and known else (0, 0)
    county = record.get("violation_county", record.get("county", "")).upper()
    plate = record.get("plate_id", record.get("plate", ""))
    state = record.get("registration_state", record.get("state"))
    precinct = float(record.get("violation_precinct", record.get("precinct", "0")))
    return {
        "id": record["summons_number"],
        "time": day.replace(hour=hour, minute=minute, tzinfo=CITY),
        "time_precision": "minute" if known else "day",
        "violation_code": int(record["violation_code"]) if "violation_code" in record else None,
        "plate": None if plate in ("BLANKPLATE", "N/A") else re.sub("[^A-Z0-9]", "", plate.upper()) or None,
        "plate_state": None if state == "99" else state,
        "precinct": int(precinct) or None,
        "borough": next((name for name, words in BOROUGHS.items() if county in words), None),
        "vehicle_make": record.get("vehicle_make"),
    }


def _date(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FILES)
def test_a_ticket_file_is_what_a_plain_reading_says(name: str) -> None:
    events, rejected = _read(PUBLIC / "parking" / name)
    plain = _plain(PUBLIC / "parking" / name)
    assert len(rejected) == FILES[name]
    assert {event["id"]: {key: event[key] for key in plain[event["id"]]} for event in events} == plain


def test_the_line_that_ends_in_mid_row_has_its_number() -> None:
    _, (record,) = _read(PUBLIC / "parking" / "fy2023_sample_4695_truncated.csv")
    assert (record["line"], record["reason"]) == (4697, "5 columns where the header has 34")


def test_all_san_francisco_calls_are_read() -> None:
    events, rejected = _read(PUBLIC / "events" / "sf_police_calls_2018.json")
    assert (len(events), len(rejected)) == (632, 0)
    assert {event["time"].astimezone(ZoneInfo("America/Los_Angeles")).date().isoformat() for event in events} == {
        "2018-12-31"
    }


def test_all_new_york_calls_are_read() -> None:
    path = PUBLIC / "events" / "nypd_calls_for_service_2024_potential_7396.csv"
    events, rejected = _read(path)
    assert (len(events), len(rejected)) == (7396, 0)
    with path.open(newline="") as file:
        plain = Counter(int(row["nypd_pct_cd"]) or None for row in csv.DictReader(file))
    assert Counter(event["precinct"] for event in events) == plain


def test_the_seeds_broken_drone_messages_are_refused_with_their_lines() -> None:
    events, rejected = _read(PUBLIC / "seed" / "prestacop_drone_messages_with_corrupt.txt")
    assert len(events) + len(rejected) == 15
    assert [record["line"] for record in rejected] == sorted(record["line"] for record in rejected)
