"""Small tables of facts, and the spelling of streets and colours."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from citywatch.analytics.dimensions import color_sql, street_sql
from citywatch.analytics.facts import spellings
from tests.unit.analytics.city_tickets import COLORS, STREETS
from tests.unit.analytics.conftest import ask, run

PUBLIC = Path(os.environ.get("CITYWATCH_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"public data sets are not at {PUBLIC}")


def spelled(sql: Callable[[str], str], texts: list[str]) -> list[str]:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE texts (n INTEGER, raw VARCHAR)")
        con.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(texts)))
        return [row[0] for row in con.execute(f"SELECT {sql('raw')} FROM texts ORDER BY n").fetchall()]


@pytest.mark.parametrize("street", STREETS)
def test_a_street_is_spelled_one_way(street: str) -> None:
    assert set(spelled(street_sql, STREETS[street])) == {street}


def test_streets_that_differ_stay_different() -> None:
    streets = ["E 3 ST", "W 3 ST", "3 ST", "3 AVE", "13 AVE", "PARK AVE", "PARK AVE S", "AVENUE A", "AVENUE D", "1 PL"]
    assert spelled(street_sql, streets) == streets


def test_spelling_a_street_again_changes_nothing() -> None:
    assert spelled(street_sql, list(STREETS)) == list(STREETS)


@pytest.mark.parametrize("color", COLORS)
def test_a_colour_has_one_name(color: str) -> None:
    assert set(spelled(color_sql, COLORS[color])) == {color}


def test_every_name_of_a_colour_is_its_own_name() -> None:
    names = sorted(set(spellings("colors").values()))
    assert spelled(color_sql, names) == names


@needs_data
@pytest.mark.data
def test_a_published_answer_is_found_again(tmp_path: Path) -> None:
    """Tickets and revenue by code, and states, of a sample that its authors counted before us."""
    sample = PUBLIC / "parking" / "fy2023_sample_4695_truncated.csv"
    summary = run(tmp_path / "data", sample)
    assert summary["events"] + summary["rejected"] == summary["read"]
    with (PUBLIC / "keys" / "nyc_fy2023_sample_gold_ticket_metrics.csv").open(newline="") as file:
        key = {int(row["violation_code"]): row for row in csv.DictReader(file)}
    rows = ask(tmp_path / "data", "tickets-by-code")["rows"]
    assert {row["violation_code"]: row["count"] for row in rows} == {c: int(k["ticket_count"]) for c, k in key.items()}
    priced = ask(tmp_path / "data", "revenue-at-average-fine")["rows"]
    assert {row["violation_code"]: row["count"] * row["fine_elsewhere"] for row in priced} == {
        code: float(row["total_revenue_usd"]) for code, row in key.items() if row["total_revenue_usd"]
    }
    with (PUBLIC / "keys" / "nyc_fy2023_sample_gold_vehicles_metrics.csv").open(newline="") as file:
        states = {row["registration_state"]: int(row["ticket_count"]) for row in csv.DictReader(file)}
    found = {row["plate_state"]: row["count"] for row in ask(tmp_path / "data", "tickets-by-state")["rows"]}
    assert {state: n for state, n in found.items() if state != "NY"} == {s: n for s, n in states.items() if s != "99"}
