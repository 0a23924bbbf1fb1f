"""Fines, compared with a plain reading; the table of fines is given here by hand for the codes that the file uses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.analytics.conftest import ask, left_out
from tests.unit.analytics.reading import Ticket

FINES = {
    21: (65, 65),
    36: (50, 50),
    38: (65, 35),
    14: (115, 115),
    20: (65, 60),
    46: (115, 115),
    99: (105, 105),
    41: (0, 0),
}
MANHATTAN = (1, 5, 6, 7, 9, 10, 13, 14, 17, 18, 19, 20)


def test_the_place_decides_which_fine_holds(city: Path, tickets: list[Ticket]) -> None:
    counts: Counter[int] = Counter()
    revenue: Counter[int] = Counter()
    reasons: Counter[str] = Counter()
    for ticket in tickets:
        code, precinct = ticket["Violation Code"], int(ticket.row["Violation Precinct"])
        if code is None:
            reasons["no_violation_code"] += 1
        elif precinct == 0:
            reasons["no_precinct"] += 1
        elif int(code) not in FINES:
            reasons["code_without_fine"] += 1
        elif precinct in (22, 24):
            reasons["precinct_on_both_sides_of_96th_street"] += 1
        elif precinct == 968:
            reasons["unknown_precinct"] += 1
        else:
            counts[int(code)] += 1
            revenue[int(code)] += FINES[int(code)][precinct not in MANHATTAN]
    answer = ask(city, "revenue-by-code")
    assert {row["violation_code"]: row["count"] for row in answer["rows"]} == dict(counts)
    assert {row["violation_code"]: row["revenue"] for row in answer["rows"]} == {c: revenue[c] for c in counts}
    for row in answer["rows"]:
        fines = FINES[row["violation_code"]]
        assert (row["fine_manhattan"], row["fine_elsewhere"]) == fines
        assert row["revenue_average_fine"] == row["count"] * sum(fines) / 2
        assert row["share"] == pytest.approx(row["count"] / counts.total())
    assert left_out(answer) == dict(reasons)
    assert len(reasons) == 5


def test_the_average_fine_needs_no_place(city: Path, tickets: list[Ticket]) -> None:
    codes = Counter(int(code) for ticket in tickets if (code := ticket["Violation Code"]))
    rows = ask(city, "revenue-at-average-fine")["rows"]
    assert {row["violation_code"]: row["revenue_average_fine"] for row in rows} == {
        code: count * sum(FINES[code]) / 2 for code, count in codes.items() if code in FINES
    }


def test_most_money_comes_first_in_each_group(city: Path) -> None:
    rows = ask(city, "revenue-by-code", "--by", "borough", "--top", "1")["rows"]
    everything = ask(city, "revenue-by-code", "--by", "borough")["rows"]
    assert len(rows) == 5
    for row in rows:
        assert row["revenue"] == max(r["revenue"] for r in everything if r["borough"] == row["borough"])
