"""Response times against a plain reading of the calls."""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.analytics.conftest import Fill, ask, left_out, run
from tests.unit.analytics.test_facts import PUBLIC, needs_data

ADDED = datetime.fromisoformat("2026-05-01T10:00:00-04:00")
STEPS = ("add_to_dispatch", "dispatch_to_arrive", "arrive_to_close")


def call(number: int, *waits: int | None, **fields: Any) -> dict[str, Any]:
    """A call every hour, with the seconds from its beginning to dispatch, arrival and close."""
    added = ADDED + timedelta(hours=number)
    names = ("dispatched_at", "arrived_at", "closed_at")
    moments = {
        n: (added + timedelta(seconds=w)).isoformat() for n, w in zip(names, waits, strict=True) if w is not None
    }
    data = {"priority": fields.pop("priority", None), **moments}
    return {"type": "call.received", "time": added.isoformat(), "data": json.dumps(data), **fields}


def percentile(values: Sequence[float], share: float) -> float:
    """Between two values in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def rows_of(waits: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Steps as a report shows them, of (step, seconds)."""
    steps: dict[str, list[float]] = defaultdict(list)
    for step, seconds in waits:
        steps[step].append(seconds)
    return [
        {
            "step": step,
            "n": len(steps[step]),
            "median_s": pytest.approx(statistics.median(steps[step])),
            "p90_s": pytest.approx(percentile(steps[step], 0.9)),
        }
        for step in STEPS
        if steps[step]
    ]


def test_each_step_has_its_median_and_90th_percentile(fill: Fill) -> None:
    data = fill([call(0, 10, 110, 1110), call(1, 20, 220, 2220), call(2, 60, 360, 3360), call(3, 100, 500, 5500)])
    waits = [(10, 100, 1000), (20, 200, 2000), (60, 300, 3000), (100, 400, 5000)]
    answer = ask(data, "response-times")
    assert answer["rows"] == rows_of((step, s) for call_ in waits for step, s in zip(STEPS, call_, strict=True))
    assert [row["median_s"] for row in answer["rows"]] == [40, 250, 2500]
    assert left_out(answer) == {}


def test_calls_without_a_moment_or_with_impossible_ones_are_left_out_of_that_step_by_name(fill: Fill) -> None:
    data = fill([call(0, 10, None, 500), call(1, 20, 5, 100), call(2, -1, 30, 60), call(3, None, None, None)])
    answer = ask(data, "response-times")
    assert {row["step"]: row["n"] for row in answer["rows"]} == {
        "add_to_dispatch": 2,
        "dispatch_to_arrive": 1,
        "arrive_to_close": 2,
    }
    assert left_out(answer) == {
        "no_arrived_time": 2,
        "no_dispatched_time": 1,
        "no_closed_time": 1,
        "arrived_before_dispatched": 1,
        "dispatched_before_added": 1,
    }


def test_they_can_be_asked_by_priority_precinct_and_hour(fill: Fill) -> None:
    data = fill(
        [
            call(0, 10, 20, 30, priority="Critical", precinct=14),
            call(1, 20, 40, 60, priority="Critical", precinct=0),
            call(2, 30, 60, 90, priority=" ", precinct=43, time_precision="day"),
        ]
    )
    first = [row for row in ask(data, "response-times", "--by", "priority")["rows"] if row["step"] == STEPS[0]]
    assert first == [{"priority": "Critical", "step": STEPS[0], "n": 2, "median_s": 15, "p90_s": 19}]
    assert left_out(ask(data, "response-times", "--by", "priority")) == {"no_priority": 1}
    precincts = ask(data, "response-times", "--by", "precinct")
    assert [row["precinct"] for row in precincts["rows"]] == [14, 14, 14, 43, 43, 43]
    assert left_out(precincts) == {"no_precinct": 1}
    hours = ask(data, "response-times", "--by", "hour")
    assert hours["rows"] == ask(data, "response-times", "--by", "local_hour")["rows"]
    assert [(row["local_hour"], row["n"]) for row in hours["rows"]] == [(10, 1)] * 3 + [(11, 1)] * 3
    assert left_out(hours) == {"no_time_of_day": 1}
    assert ask(data, "response-times", "--from", "2026-05-01T11:00")["rows"][0]["n"] == 2


@needs_data
@pytest.mark.data
def test_the_calls_that_the_city_published_are_counted_as_a_plain_reading_does(tmp_path: Path) -> None:
    calls = PUBLIC / "events" / "nypd_calls_for_service_2024_potential_7396.csv"
    run(tmp_path / "data", calls)
    with calls.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["add_ts"])
    distinct = {row["cad_evnt_id"]: row for row in reversed(rows)}  # of copies the one received first counts

    def waits(rows: Iterable[dict[str, str]]) -> Iterable[tuple[str, float]]:
        for row in rows:
            moments = [datetime.fromisoformat(row[name]) for name in ("add_ts", "disp_ts", "arrivd_ts", "closng_ts")]
            for step, begin, end in zip(STEPS, moments, moments[1:], strict=False):
                yield step, (end - begin).total_seconds()

    assert ask(tmp_path / "data", "response-times")["rows"] == rows_of(waits(distinct.values()))
    of_13 = [row for row in distinct.values() if row["nypd_pct_cd"] == "13"]
    by = ask(tmp_path / "data", "response-times", "--by", "precinct")["rows"]
    assert [{k: v for k, v in row.items() if k != "precinct"} for row in by if row["precinct"] == 13] == rows_of(
        waits(of_13)
    )
