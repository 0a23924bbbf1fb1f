"""What the engine says about itself: keys that are too large, times in which nothing was heard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.rules.load import load_rules
from citywatch.settings import MINUTE, SECOND, Settings

START = 1_780_000_000_000_000
RULES = """
title: Silence
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a21
name: silence
status: experimental
logsource: {category: device.status}
correlation: {type: flatline, group-by: [device_id], timespan: 1m}
---
title: Many
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a22
name: many
status: experimental
logsource: {category: anpr.read}
correlation: {type: event_count, group-by: [plate], timespan: 1h, condition: {gte: 3}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    return tmp_path


def batch_of(events: Iterable[dict[str, Any]], first: int = 0) -> pa.Table:
    rows = []
    for n, event in enumerate(events, first):
        t = START + event.pop("at") * SECOND
        flags = {"late": False, "stale": False, "backfill": False}
        rows.append(
            {"seq": n, "id": str(n), "source": "s", "time": t, "received_at": t, "data": "{}", **flags, **event}
        )
    return pa.Table.from_pylist(rows, schema=batch_schema())


def test_an_outage_makes_what_waited_for_silence_doubtful_and_is_told_once(rules: Path) -> None:
    settings = Settings()
    con = duckdb.connect()
    ruleset = load_rules([rules], settings, run_tests=False)
    step = Step(con, ruleset, settings)
    step.advance(batch_of({"at": 0, "type": "device.status", "device_id": f"d{i}"} for i in range(3)), START)
    con.execute("INSERT INTO outage VALUES (?, ?)", [START + 10 * SECOND, START + 30 * SECOND])
    step = Step(con, ruleset, settings)
    facts = step.advance(batch_schema().empty_table(), START + 10 * MINUTE).to_pylist()
    assert [f["inconclusive"] for f in facts if f["rule"] == "silence"] == [True] * 3
    (blind,) = [f for f in facts if f["rule"] == "blind"]
    assert (blind["count"], blind["inconclusive"], blind["silent"]) == (3, False, False)
    assert blind["first_seen"].timestamp() * SECOND == START + 10 * SECOND
    assert not len(step.advance(batch_schema().empty_table(), START + 20 * MINUTE))


def test_silence_beside_an_outage_is_not_doubtful(rules: Path) -> None:
    settings = Settings()
    con = duckdb.connect()
    ruleset = load_rules([rules], settings, run_tests=False)
    Step(con, ruleset, settings)
    con.execute("INSERT INTO outage VALUES (?, ?)", [START - 9 * MINUTE, START - 2 * MINUTE])
    step = Step(con, ruleset, settings)
    step.advance(batch_of([{"at": 0, "type": "device.status", "device_id": "d"}]), START)
    (fact,) = step.advance(batch_schema().empty_table(), START + 10 * MINUTE).to_pylist()
    assert (fact["rule"], fact["inconclusive"]) == ("silence", False)


def test_a_key_with_too_many_events_is_told_and_not_evaluated_until_it_shrinks(rules: Path) -> None:
    settings = Settings(key_limit=5)
    step = Step(duckdb.connect(), load_rules([rules], settings, run_tests=False), settings)
    reads = [{"at": i, "type": "anpr.read", "plate": "0000"} for i in range(6)]
    others = [{"at": 6, "type": "anpr.read", "plate": "K1"} for _ in range(3)]
    facts = step.advance(batch_of([*reads, *others]), START + 6 * SECOND).to_pylist()
    assert sorted((f["rule"], f["group"]) for f in facts) == [
        ("key_overflow", json.dumps({"rule": "many", "key": '["0000"]'}, separators=(",", ":"))),
        ("many", '{"plate":"K1"}'),
    ]
    assert not len(step.advance(batch_schema().empty_table(), START + 10 * MINUTE))
    later = [{"at": 7200 + i, "type": "anpr.read", "plate": "0000"} for i in range(3)]
    facts = step.advance(batch_of(later, first=100), START + 7203 * SECOND).to_pylist()
    assert [(f["rule"], f["count"]) for f in facts] == [("many", 1)]
