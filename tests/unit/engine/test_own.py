"""What the engine says about itself: keys that are too large, times in which nothing was heard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.masking import masked
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


def _text(time: int) -> str:
    return datetime.fromtimestamp(time / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _silence(step: Step, con: duckdb.DuckDBPyConnection, until: int | None, speakers: list[str] | None) -> None:
    con.execute("DELETE FROM silence")
    con.execute("INSERT INTO silence VALUES ('mqtt', ?, ?, ?)", [START + 10 * SECOND, until, speakers])


def test_a_live_source_that_is_silent_blinds_for_the_devices_that_speak_by_it(rules: Path) -> None:
    settings = Settings()
    con = duckdb.connect()
    ruleset = load_rules([rules], settings, run_tests=False)
    step = Step(con, ruleset, settings)
    spoken = [{"at": 0, "type": "device.status", "device_id": name, "source": name} for name in ("by mqtt", "by http")]
    step.advance(batch_of(spoken), START)
    _silence(step, con, None, ["by mqtt", "another"])
    facts = Step(con, ruleset, settings).advance(batch_schema().empty_table(), START + 10 * MINUTE).to_pylist()
    doubtful = {f["group"]: f["inconclusive"] for f in facts if f["rule"] == "silence"}
    assert doubtful == {'{"device_id":"by mqtt"}': True, '{"device_id":"by http"}': False}
    (blind,) = [f for f in facts if f["rule"] == "blind"]
    begun = _text(START + 10 * SECOND)
    assert json.loads(blind["group"]) == {"source": "mqtt", "from": begun}
    assert f"nothing heard from mqtt since {begun}: 1 alerts" in blind["reason"]


def test_who_speaks_by_a_silent_source_may_be_unknown_then_it_may_be_anybody(rules: Path) -> None:
    settings = Settings()
    con = duckdb.connect()
    ruleset = load_rules([rules], settings, run_tests=False)
    step = Step(con, ruleset, settings)
    step.advance(batch_of([{"at": 0, "type": "device.status", "device_id": "d"}]), START)
    _silence(step, con, START + 30 * SECOND, None)
    facts = Step(con, ruleset, settings).advance(batch_schema().empty_table(), START + 10 * MINUTE).to_pylist()
    assert {f["rule"]: f["inconclusive"] for f in facts} == {"silence": True, "blind": False}
    (blind,) = [f for f in facts if f["rule"] == "blind"]
    assert blind["reason"].startswith(f"nothing heard from mqtt from {_text(START + 10 * SECOND)} to ")
    assert _text(START + 30 * SECOND) in blind["reason"]


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
    (told,) = [f for f in facts if f["rule"] == "key_overflow"]
    assert (json.loads(told["values"]), "0000" in told["reason"]) == ({"plate": "0000"}, True)
    alert = {**told, **{name: json.loads(told[name]) for name in ("group", "values", "evidence")}}
    assert "0000" not in json.dumps({**masked(alert), "id": ""}, default=str)
    assert not len(step.advance(batch_schema().empty_table(), START + 10 * MINUTE))
    later = [{"at": 7200 + i, "type": "anpr.read", "plate": "0000"} for i in range(3)]
    facts = step.advance(batch_of(later, first=100), START + 7203 * SECOND).to_pylist()
    assert [(f["rule"], f["count"]) for f in facts] == [("many", 1)]
