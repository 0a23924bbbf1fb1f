"""Events whose data are missing, empty, or no object at all: valid CloudEvents, which must stop nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from citywatch.cli import cli
from citywatch.event import SHIPPED_TYPES

RULE = """
title: {type}
id: 00000000-0000-4000-8000-0000000000{number:02d}
name: {type}
status: experimental
level: low
logsource: {{category: anpr.read}}
correlation: {{type: {type}, group-by: [source], timespan: 3s, {more}}}
"""
CORRELATIONS = {
    "event_count": "condition: {gte: 2}",
    "value_count": "condition: {gte: 1, field: type}",
    "new_terms": "field: id",
    "change": "field: id",
    "spike": "spike_height: 1",
    "dwell": "max_gap: 1h",
    "flatline": "",
}
ODD: tuple[dict[str, Any], ...] = (
    {},
    {"data": None},
    {"data": {}},
    {"data": "K1"},
    {"data": 5},
    {"data": ["K1", {"plate": "K1"}]},
)


def said(*words: str | Path) -> list[str]:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Rules of every kind that looks at one base set, and odd events of every shipped type, a second apart."""
    (tmp_path / "rules").mkdir()
    for number, (type_, more) in enumerate(CORRELATIONS.items()):
        text = RULE.format(type=type_, number=number, more=more).replace(", }", "}")
        (tmp_path / "rules" / f"{type_}.yaml").write_text(text, "utf-8")
    (tmp_path / "rules" / "plain.yaml").write_text(
        RULE.split("correlation", 1)[0].format(type="plain", number=99), "utf-8"
    )
    last = {"id": "last", "type": "foo", "time": "2026-05-01T20:00:00Z"}
    times = (f"2026-05-01T12:{n // 60:02d}:{n % 60:02d}Z" for n in range(10_000))
    odd = [{"type": type_, "time": next(times), **data} for type_ in (*SHIPPED_TYPES, "foo") for data in ODD]
    events = [{"specversion": "1.0", "source": "s", "id": str(n), **event} for n, event in enumerate([*odd, last])]
    (tmp_path / "odd.ndjson").write_text("".join(f"{json.dumps(event)}\n" for event in events), "utf-8")
    return tmp_path


def test_odd_data_are_events_alerts_and_history_like_others(city: Path) -> None:
    rules, data = ("--rules", city / "rules"), ("--data", city / "data")
    counts = json.loads(said("run", city / "odd.ndjson", "--once", *rules, *data)[-1])
    assert (counts["events"], counts["rejected"]) == (counts["read"], 0)
    alerts = [json.loads(line) for line in said("alerts", "list", *data, "--format", "ndjson")]
    assert {alert["rule"] for alert in alerts} == {*CORRELATIONS, "plain"}
    assert all(event["data"] == {} for alert in alerts for event in alert["evidence"])
    assert len(said("events", *data)) == counts["events"]
    tested = [json.loads(line)["id"] for line in said("rules", "backtest", city / "rules", *data, "--format", "ndjson")]
    assert set(tested) == {alert["id"] for alert in alerts}
    assert json.loads(said("run", city / "odd.ndjson", "--once", *rules, *data)[-1])["duplicates"] == counts["read"]
    said("tickets", "list", *data)
