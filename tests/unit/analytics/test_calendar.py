"""Week and week-end, July and August, compared with a plain reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analytics.conftest import ask, left_out
from tests.unit.analytics.reading import Ticket


def test_the_week_and_the_weekend_are_compared_per_day(city: Path, tickets: list[Ticket]) -> None:
    rows = {row["part"]: row for row in ask(city, "week-and-weekend")["rows"]}
    for part, weekend in (("week", False), ("weekend", True)):
        days = [ticket.when.date() for ticket in tickets if (ticket.when.isoweekday() > 5) == weekend]
        assert rows[part]["days"] == len(set(days))
        assert rows[part]["count"] == len(days)
        assert rows[part]["per_day"] == pytest.approx(len(days) / len(set(days)))


def test_summer_is_july_and_august_of_all_years(city: Path, tickets: list[Ticket]) -> None:
    months = [ticket.when.month for ticket in tickets]
    answer = ask(city, "summer")
    july, august = months.count(7), months.count(8)
    assert answer["rows"] == [
        {"period": "july", "count": july},
        {"period": "august", "count": august},
        {"period": "july_and_august", "count": july + august},
    ]
    assert left_out(answer) == {"outside_july_and_august": len(months) - july - august}


def test_the_older_systems_thirteen_numbers_stand_on_one_page(city: Path, tickets: list[Ticket]) -> None:
    coded = [ticket for ticket in tickets if ticket["Violation Code"]]
    found: dict[int, list[tuple[str, float]]] = {}
    for row in ask(city, "prestacop")["rows"]:
        found.setdefault(row["number"], []).append((row["part"], row["value"]))
    assert sorted(found) == list(range(1, 14))
    assert found[1] == [("all", len(coded))]
    assert found[2][0][1] == pytest.approx(len(coded) / len(tickets))
    assert found[3] == [("all", len(tickets) - len(coded))]
    weekdays = [ticket.when.isoweekday() for ticket in coded]
    assert found[5] == [(str(day), weekdays.count(day)) for day in range(1, 8)]
    assert found[6] == [("all", sum(day > 5 for day in weekdays))]
    assert found[7] == [("all", sum(day <= 5 for day in weekdays))]
    days = {ticket.when.date() for ticket in coded if ticket.when.isoweekday() > 5}
    assert found[8][0][1] == pytest.approx(found[6][0][1] / len(days))
    months = [f"{ticket.when:%Y-%m}" for ticket in coded]
    assert found[10] == [(month, months.count(month)) for month in sorted(set(months))]
    july, august = (sum(ticket.when.month == month for ticket in coded) for month in (7, 8))
    assert (found[11], found[12], found[13]) == ([("all", july)], [("all", august)], [("all", july + august)])


def test_its_parts_are_reports_of_their_own(city: Path) -> None:
    numbers = {row["number"]: row["value"] for row in ask(city, "prestacop")["rows"]}
    with_code, without = ask(city, "with-and-without-code")["rows"]
    assert (with_code["count"], with_code["share"]) == (numbers[1], numbers[2])
    assert (without["count"], without["share"]) == (numbers[3], numbers[4])
    week, weekend = ask(city, "week-and-weekend", "--type", "violations")["rows"]
    assert (weekend["count"], week["count"]) == (numbers[6], numbers[7])
    assert (weekend["per_day"], week["per_day"]) == (numbers[8], numbers[9])
    assert [row["count"] for row in ask(city, "summer", "--type", "violations")["rows"]] == [
        numbers[11],
        numbers[12],
        numbers[13],
    ]
