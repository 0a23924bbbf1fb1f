"""The tickets-* family, compared with a plain reading of the same file."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from citywatch.analytics.question import questions
from tests.unit.analytics.conftest import ask, left_out, run
from tests.unit.analytics.reading import VALUES, Ticket, counted, read

FIELDS = {
    "code": "violation_code",
    "day": "local_date",
    "weekday": "local_weekday",
    "hour": "local_hour",
    "bin": "time_bin",
    "minute": "minute_of_day",
    "state": "plate_state",
    "plate-type": "plate_type",
    "make": "vehicle_make",
    "body": "vehicle_body",
    "color": "vehicle_color",
    "vehicle-year": "vehicle_year",
    "agency": "issuer_agency",
    "device": "device_id",
}
REPORTS = [name.removeprefix("tickets-by-") for name in questions() if name.startswith("tickets-by-")]
HOURLY = ("local_hour", "time_bin", "timeframe", "minute_of_day")


@pytest.mark.parametrize("report", REPORTS)
def test_counts_and_shares_are_those_of_a_plain_reading(report: str, city: Path, tickets: list[Ticket]) -> None:
    field = FIELDS.get(report, report)
    expected, missing = counted(tickets, field)
    answer = ask(city, f"tickets-by-{report}")
    assert {row[field]: row["count"] for row in answer["rows"]} == dict(expected)
    assert all(row["share"] == pytest.approx(row["count"] / expected.total()) for row in answer["rows"])
    assert sum(left_out(answer).values()) == missing
    reason = "no_time_of_day" if field in HOURLY else f"no_{field}"
    assert set(left_out(answer)) == ({reason} if missing else set())


def test_every_ticket_is_counted_or_left_out(city: Path, tickets: list[Ticket]) -> None:
    for report in REPORTS:
        answer = ask(city, f"tickets-by-{report}")
        assert sum(row["count"] for row in answer["rows"]) + sum(left_out(answer).values()) == len(tickets)


def test_what_cannot_be_read_is_counted_by_data_quality(city: Path, tickets_csv: Path) -> None:
    tickets, refused = read(tickets_csv)
    checks = {row["check"]: row for row in ask(city, "data-quality")["rows"]}
    assert checks["rejected"]["rows"] == refused > 0
    assert 0 < checks["impossible_date"]["rows"] <= refused
    assert checks["no_time_of_day"]["rows"] == sum(not ticket.has_clock for ticket in tickets) > 0
    assert checks["no_precinct"]["rows"] == counted(tickets, "precinct")[1]
    assert checks["no_plate"]["rows"] == counted(tickets, "plate")[1]
    assert checks["not_a_plate"]["rows"] == sum(VALUES["plate"](ticket) in ("0000", "X") for ticket in tickets)
    assert checks["no_plate"]["share"] == pytest.approx(checks["no_plate"]["rows"] / len(tickets))


def test_the_most_frequent_come_first_and_ties_in_their_own_order(city: Path) -> None:
    rows = ask(city, "tickets-by-plate")["rows"]
    assert rows == sorted(rows, key=lambda row: (-row["count"], row["plate"]))


@pytest.mark.parametrize(
    ("report", "field"), [("month", "month"), ("weekday", "local_weekday"), ("hour", "local_hour")]
)
def test_times_come_in_their_own_order(report: str, field: str, city: Path) -> None:
    values = [row[field] for row in ask(city, f"tickets-by-{report}")["rows"]]
    assert values == sorted(values)


def test_timeframes_come_in_the_order_of_the_day(city: Path) -> None:
    rows = ask(city, "tickets-by-timeframe")["rows"]
    assert [row["timeframe"] for row in rows] == ["night", "morning", "afternoon", "evening"]


def test_top_keeps_the_most_frequent_and_their_shares_of_all(city: Path, tickets: list[Ticket]) -> None:
    expected, _ = counted(tickets, "month")
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:3]
    rows = ask(city, "tickets-by-month", "--top", "3")["rows"]
    assert [(row["month"], row["count"]) for row in rows] == best
    assert rows[0]["share"] == pytest.approx(best[0][1] / expected.total())


def test_by_counts_within_each_value_of_another_field(city: Path, tickets: list[Ticket]) -> None:
    pairs = Counter(
        (borough, code)
        for ticket in tickets
        if (borough := VALUES["borough"](ticket)) and (code := VALUES["violation_code"](ticket)) is not None
    )
    rows = ask(city, "tickets-by-code", "--by", "borough")["rows"]
    assert {(row["borough"], row["violation_code"]): row["count"] for row in rows} == dict(pairs)
    best = ask(city, "tickets-by-code", "--by", "borough", "--top", "2")["rows"]
    for borough in {borough for borough, _ in pairs}:
        within = sorted((-n, code) for (b, code), n in pairs.items() if b == borough)[:2]
        assert [(-row["count"], row["violation_code"]) for row in best if row["borough"] == borough] == within


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(city: Path, tickets: list[Ticket]) -> None:
    start, end = datetime(2016, 7, 31), datetime(2017, 1, 1)
    within = [ticket for ticket in tickets if start <= ticket.when < end]
    answer = ask(city, "tickets-by-month", "--from", "2016-07-31", "--to", "2017-01-01")
    assert {row["month"]: row["count"] for row in answer["rows"]} == dict(counted(within, "month")[0])


def test_the_day_when_clocks_change_is_as_long_as_it_was(city: Path, tickets: list[Ticket]) -> None:
    for day, following in (("2017-03-12", "2017-03-13"), ("2016-11-06", "2016-11-07")):
        within = [ticket for ticket in tickets if ticket.when.date().isoformat() == day]
        answer = ask(city, "tickets-by-hour", "--from", day, "--to", following)
        expected, missing = counted(within, "local_hour")
        assert {row["local_hour"]: row["count"] for row in answer["rows"]} == dict(expected)
        assert sum(left_out(answer).values()) == missing
        assert len(within) >= 2


def test_an_empty_history_has_no_rows_and_leaves_nothing_out(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    run(tmp_path / "data", empty)
    for name in questions():
        answer = ask(tmp_path / "data", name)
        assert answer["excluded"] == []
        assert all(not row.get("count") and not row.get("rows") for row in answer["rows"])
