"""Silence after events of equal time, long after their names were forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.rules.load import load_rules
from citywatch.settings import MINUTE, SECOND, Settings

START = 1_780_000_000_000_000
RULE = """
title: Silence
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a41
name: silence
status: experimental
logsource: {category: device.status}
correlation: {type: flatline, group-by: [device_id], timespan: 1h}
"""


def pairs(first: int, count: int, at: int) -> pa.Table:
    """Two events of equal time for each of `count` devices; the second one read comes first by its id."""
    rows: list[dict[str, Any]] = [
        {
            "seq": 2 * n + half, "id": f"{'ba'[half]}{n}", "source": "s", "type": "device.status", "data": "{}",
            "time": START + at * SECOND, "received_at": START + at * SECOND, "device_id": f"d{n}",
            "late": False, "stale": False, "backfill": False,
        }
        for n in range(first, first + count) for half in range(2)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=batch_schema())


def test_it_is_found_over_several_runs_in_the_order_of_source_and_id(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULE, "utf-8")
    settings = Settings()
    step = Step(duckdb.connect(), load_rules([tmp_path], settings, run_tests=False), settings)
    tick = batch_schema().empty_table()
    step.advance(pairs(0, 4000, at=0), START)
    step.advance(tick, START + 5 * MINUTE)
    step.advance(pairs(4000, 500, at=300), START + 5 * MINUTE)
    step.advance(tick, START + 10 * MINUTE)
    facts = step.advance(tick, START + 120 * MINUTE).to_pylist()
    assert len(facts) == 4500
    for fact in facts:
        (shown,) = json.loads(fact["evidence"])
        device = json.loads(fact["group"])["device_id"]
        assert (fact["count"], shown["id"]) == (2, f"a{device.removeprefix('d')}")
