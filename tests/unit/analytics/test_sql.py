"""Questions in SQL: they read events, alerts and codes, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from citywatch.errors import ReportError, UsageError
from tests.unit.analytics.conftest import Fill, invoke
from tests.unit.analytics.reading import Ticket

EVENT = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "violation_code": 21}


def test_sql_asks_history(city: Path, tickets: list[Ticket]) -> None:
    query = "SELECT count(*) AS tickets FROM events WHERE type = 'ticket.issued'"
    answer = json.loads(invoke("sql", query, "--data", str(city), "--format", "json").stdout)
    assert answer == {"name": "sql", "rows": [{"tickets": len(tickets)}], "excluded": []}
    assert invoke("sql", query, "--data", str(city), "--format", "csv").stdout == f"tickets\n{len(tickets)}\n"
    assert invoke("sql", query, "--data", str(city)).stdout.split() == ["tickets", str(len(tickets))]


def test_derived_columns_codes_and_alerts_are_there(fill: Fill) -> None:
    data = fill([EVENT])
    query = """
        SELECT local_hour, name, fine_manhattan, time, (SELECT count(*) FROM alerts) AS alerts
        FROM events JOIN codes ON code = violation_code"""
    [row] = json.loads(invoke("sql", query, "--data", str(data), "--format", "json").stdout)["rows"]
    assert row == {
        "local_hour": 6,
        "name": "No parking: street cleaning",
        "fine_manhattan": 65,
        "time": "2026-05-01T10:00:00.000000Z",
        "alerts": 0,
    }


@pytest.mark.parametrize("end", ["", " ; -- nearest first;"])
def test_columns_of_one_name_keep_their_own_values(end: str, fill: Fill) -> None:
    data = fill([EVENT, {**EVENT, "time": "2026-05-01T11:00:00Z"}])
    columns = 'a.local_hour, b.local_hour, a.time, b.time, 9 AS "TIME", 8 AS local_hour_1'
    query = f"SELECT {columns} FROM events a JOIN events b ON a.time < b.time ORDER BY 1{end}"
    expected = {
        "local_hour": 6,
        "local_hour_1": 7,
        "time": "2026-05-01T10:00:00.000000Z",
        "time_1": "2026-05-01T11:00:00.000000Z",
        "TIME_2": 9,
        "local_hour_1_1": 8,
    }
    [row] = json.loads(invoke("sql", query, "--data", str(data), "--format", "json").stdout)["rows"]
    assert row == expected
    table = invoke("sql", query, "--data", str(data), "--format", "csv").stdout.split()
    assert table == [",".join(expected), ",".join(map(str, expected.values()))]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM events",
        "CREATE TABLE t (i INT)",
        "COPY events TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "SET threads = 1",
        "PRAGMA version",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_anything_but_one_reading_statement_is_wrong_usage(query: str, fill: Fill) -> None:
    with pytest.raises(UsageError, match="only one statement that reads"):
        invoke("sql", query, "--data", str(fill([EVENT])))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM read_csv('https://example.org/x.csv')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT getenv('HOME')",
    ],
)
def test_nothing_outside_of_history_can_be_read(query: str, fill: Fill) -> None:
    with pytest.raises(ReportError):
        invoke("sql", query, "--data", str(fill([EVENT])))


def test_a_mistake_is_told_in_the_databases_words(fill: Fill) -> None:
    with pytest.raises(ReportError, match="nonsense"):
        invoke("sql", "SELECT nonsense FROM events", "--data", str(fill([EVENT])))
