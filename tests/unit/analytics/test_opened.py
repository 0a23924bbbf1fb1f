"""`citywatch.open`: the same answers as the command line's, in the form that one works with."""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import citywatch
from citywatch.errors import MissingPackageError, ReportError, StoreError, UsageError
from citywatch.event import COLUMNS
from citywatch.stores.desk import Desk
from tests.unit.analytics.conftest import Fill, ask, events, left_out, run
from tests.unit.analytics.reading import Ticket
from tests.unit.analytics.test_watch import DRONES, REPORTS, RULES

AT = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z"}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("opened") / "data"
    run(data, events(data.with_suffix(".ndjson"), [*REPORTS, *DRONES]), rules=RULES)
    return data


def test_reports_are_those_of_the_command_line(city: Path, tickets: list[Ticket]) -> None:
    opened = citywatch.open(city)
    asked: dict[str, dict[str, Any]] = {
        "tickets-by-code": {"top": 3},
        "tickets-by-hour": {"by": "borough"},
        "data-quality": {},
        "tickets-by-month": {"start": "2016-07-01", "end": "2016-08-01"},
    }
    for name, options in asked.items():
        spelled = {"start": "--from", "end": "--to"}
        words = [str(word) for k, v in options.items() for word in (spelled.get(k, f"--{k}"), v)]
        expected = ask(city, name, *words)
        rows = opened.report(name, **options)
        assert list(rows) == expected["rows"]
        assert dict(rows.excluded) == left_out(expected)


def test_events_come_as_arrow_pandas_and_polars(city: Path, tickets: list[Ticket]) -> None:
    rows = citywatch.open(city).events()
    table, frame, polar = rows.arrow(), rows.pandas(), rows.polars()
    assert isinstance(table, pa.Table)
    assert isinstance(frame, pd.DataFrame)
    assert isinstance(polar, pl.DataFrame)
    assert len(rows) == table.num_rows == len(frame) == len(polar) == len(tickets)
    names = [*(column.name for column in COLUMNS), "stale", "backfill", "data", "extensions"]
    assert table.column_names == list(frame.columns) == polar.columns == names
    assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert frame["plate"].nunique() == polar["plate"].n_unique() - (polar["plate"].null_count() > 0)
    assert pa.table(rows) == table, "whatever reads Arrow reads an answer as it is"
    assert pl.DataFrame(rows).equals(polar)


@pytest.mark.parametrize("top", [0, -3])
def test_less_than_one_row_is_wrong_usage(watch: Path, top: int) -> None:
    with pytest.raises(UsageError, match=f"top is {top}"):
        citywatch.open(watch).report("fleet", top=top)


def test_events_can_be_chosen_by_type_time_and_column(watch: Path) -> None:
    opened = citywatch.open(watch)
    drones = opened.events("drone.position", "drone.violation", columns=["id", "type"])
    assert sorted({row["type"] for row in drones}) == ["drone.position", "drone.violation"]
    assert len(drones) == len(DRONES)
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    late = opened.events("drone.violation", start=noon, end="2026-05-01T08:30", columns=["time"])  # New York's 08:30
    assert list(late) == [{"time": noon}]
    with pytest.raises(UsageError, match="no column 'colour'"):
        opened.events(columns=["colour"])
    day = opened.events(start=date(2026, 5, 1), end=date(2026, 5, 2))  # of New York
    assert list(day) == list(opened.events(start="2026-05-01", end="2026-05-02")) != []
    with pytest.raises(UsageError, match="has no zone"):
        opened.events(start=datetime(2026, 5, 1))
    with pytest.raises(UsageError, match="is not before"):
        opened.events(start="2026-05-02", end="2026-05-01")


def test_alerts_are_there_as_they_stand(watch: Path) -> None:
    rows = citywatch.open(watch).alerts()
    assert sorted(row["rule"] for row in rows) == ["asks", "asks", "high_score", "high_score", "high_score"]
    assert {row["state"] for row in rows} == {"open"}
    assert isinstance(next(iter(rows))["first_seen"], datetime)
    assert (
        rows.polars()["evidence"].str.json_decode(pl.List(pl.Struct({"id": pl.String}))).list.len().to_list() == [1] * 5
    )


def test_sql_is_that_of_the_command_line_with_times_as_times(fill: Fill) -> None:
    opened = citywatch.open(fill([AT, {**AT, "violation_code": 21}]))
    rows = opened.sql("SELECT time, name FROM events LEFT JOIN codes ON code = violation_code ORDER BY seq")
    at = datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert list(rows) == [{"time": at, "name": None}, {"time": at, "name": "No parking: street cleaning"}]
    assert len(opened.sql("SELECT 1 FROM alerts")) == 0
    with pytest.raises(UsageError, match="only one statement that reads"):
        opened.sql("DELETE FROM events")
    with pytest.raises(ReportError, match="nobody"):
        opened.sql("SELECT * FROM nobody")
    with pytest.raises(ReportError):
        opened.sql("SELECT * FROM read_text('/etc/hostname')")
    with pytest.raises(UsageError, match="no report is called"):
        opened.report("tickets-by-luck")


def test_what_is_read_is_recorded_under_the_systems_user(watch: Path) -> None:
    opened = citywatch.open(str(watch))
    opened.report("repeat-persons")
    opened.report("alerts")
    opened.sql("SELECT count(*) FROM events")
    with Desk(watch / "desk.sqlite") as desk:
        noted = [entry["what"] for entry in desk.audited(2)]
    assert noted == ["sql SELECT count(*) FROM events", "report repeat-persons"]


def test_a_question_sees_what_was_accepted_after_opening(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(data, events(tmp_path / "first.ndjson", [AT]))
    opened = citywatch.open(data)
    assert len(opened.events()) == 1
    run(data, events(tmp_path / "later.ndjson", [AT, {**AT, "violation_code": 21}]))
    assert len(opened.events()) == 2


def test_what_is_no_data_directory_or_not_installed_is_said(
    fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="is no data directory"):
        citywatch.open(tmp_path / "nothing")
    rows = citywatch.open(fill([AT])).events(columns=["id"])
    assert repr(rows) == "<1 rows: id>"
    found = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name in ("pandas", "polars") else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(MissingPackageError, match="pip install pandas"):
        rows.pandas()
    with pytest.raises(MissingPackageError, match="pip install polars"):
        rows.polars()
