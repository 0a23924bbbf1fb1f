"""What a batch costs: how many statements, whatever is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.rules.load import load_rules
from citywatch.settings import SECOND, Settings

ALL_TYPES = Path(__file__).parents[3] / "bench" / "rules" / "all12"
EVENT_TYPES = ("anpr.read", "camera.event", "device.status", "sensor.reading", "drone.position")
FIXED = 24
"""Statements of a batch beside one for each event type: state, evidence, alerts, clock, a new slice and an old one."""
START = 1_780_000_000_000_000


class Counting:
    """A connection that counts what is asked of it and of its cursors."""

    def __init__(self, con: duckdb.DuckDBPyConnection, counts: list[str]) -> None:
        self._con = con
        self.counts = counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def cursor(self) -> Counting:
        return Counting(self._con.cursor(), self.counts)

    def sql(self, query: str) -> Any:
        self.counts.append(query)
        return self._con.sql(query)

    def execute(self, query: str, *parameters: Any) -> Any:
        self.counts += [part for part in query.split(";") if part.strip()]
        return self._con.execute(query, *parameters)


def batch_of(first: int, count: int) -> pa.Table:
    """Events a second apart, of all types, over a hundred plates and devices."""
    i = np.arange(first, first + count)
    times = pa.array(START + i * SECOND).cast(pa.timestamp("us", "UTC"))
    given: dict[str, Any] = {
        "seq": i, "id": [str(n) for n in i], "source": ["test"] * count, "time": times, "received_at": times,
        "type": [EVENT_TYPES[n % 5] for n in i], "plate": [f"P{n % 97}" for n in i],
        "device_id": [f"D{n % 89}" for n in i], "plate_confidence": np.full(count, 0.9), "plate_state": ["NY"] * count,
        "label": [("gunshot", "crowd")[n % 2] for n in i], "precinct": pa.array(i % 7, pa.int16()),
        "value": np.full(count, 60.0), "speed_kmh": np.full(count, 1.0), "data": ["{}"] * count,
        "lat": 40.5 + (i % 5) * 0.1, "lon": -74 + (i % 5) * 0.1,
    }  # fmt: skip
    given |= {name: np.zeros(count, np.bool_) for name in ("late", "stale", "backfill")}
    return pa.table([given.get(f.name, pa.nulls(count, f.type)) for f in batch_schema()], schema=batch_schema())


@pytest.mark.parametrize("size", [100, 5_000])
def test_a_batch_costs_a_bounded_number_of_statements_however_large_it_is(size: int) -> None:
    settings = Settings()
    counting = Counting(duckdb.connect(), [])
    step = Step(cast(duckdb.DuckDBPyConnection, counting), load_rules([ALL_TYPES], settings, run_tests=False), settings)
    raised = 0
    for n in range(4):
        counting.counts.clear()
        raised += len(step.advance(batch_of(n * size, size), START + (n + 1) * size * SECOND))
        assert len(counting.counts) <= len(EVENT_TYPES) + FIXED, "\n".join(counting.counts)
    assert raised, "no alert was raised, so nothing was measured"


def test_a_tick_of_the_clock_costs_hardly_any_statement() -> None:
    settings = Settings()
    counting = Counting(duckdb.connect(), [])
    step = Step(cast(duckdb.DuckDBPyConnection, counting), load_rules([ALL_TYPES], settings, run_tests=False), settings)
    step.advance(batch_of(0, 1000), START + 1000 * SECOND)
    counting.counts.clear()
    step.advance(batch_schema().empty_table(), START + 1001 * SECOND)
    assert len(counting.counts) <= 2, "\n".join(counting.counts)


def test_each_batch_is_evaluated_anew_by_the_planned_statements() -> None:
    settings = Settings()
    con = duckdb.connect()
    step = Step(con, load_rules([ALL_TYPES], settings, run_tests=False), settings)
    for n in range(3):
        step.advance(batch_of(n * 500, 500), START + (n + 1) * 500 * SECOND)
    refs = con.sql("SELECT count(DISTINCT ref), max(ref) FROM kept").fetchall()
    assert refs == [(1500, 1499)]
