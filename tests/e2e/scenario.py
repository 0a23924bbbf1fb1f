"""A small city day in a process of its own: every kind of record, every kind of file, acknowledgements written down."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from citywatch.engine.embedded import Engine
from citywatch.engine.embedded import bounded as bounded_module
from citywatch.engine.embedded import upkeep as upkeep_module
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.rules.load import load_rules
from citywatch.settings import Settings
from citywatch.stores import compaction, identity
from citywatch.stores import log as log_module
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from citywatch.triage import Choice
from tests.e2e.power import Power

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
BATCHES = 5
RULES = """
title: A plate is read
id: 00000000-0000-4000-8000-000000000001
name: plate_read
status: experimental
level: low
logsource: {category: anpr.read}
where: plate = 'K1'
---
title: Three reads of a plate
id: 00000000-0000-4000-8000-000000000002
name: three_reads
status: experimental
level: high
logsource: {category: anpr.read}
correlation: {type: event_count, group-by: [plate], timespan: 30s, condition: {gte: 3}}
---
title: A plate is gone
id: 00000000-0000-4000-8000-000000000003
name: gone
status: experimental
level: medium
logsource: {category: anpr.read}
correlation: {type: flatline, group-by: [plate], timespan: 20s}
"""


def moment(second: float) -> str:
    """Seconds after the start as RFC 3339."""
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def lines() -> list[list[str]]:
    """The records of each batch: new ones, some sent again, one in conflict, one that is no event, a correction."""
    batches = []
    for batch in range(BATCHES):
        records = [_read(batch * 20 + n) for n in range(20)]
        if batch:
            records += [_read(batch * 20 - 3), _event(batch * 20 - 4, "anpr.read", {"plate": "OTHER"})]
        records.append(json.dumps({"specversion": "1.0", "id": f"bad{batch}", "source": "s"}))
        if batch == BATCHES // 2:
            corrects = {"corrects_source": "camera", "corrects_id": "1", "violation_code": 5}
            records.append(_event(batch * 20 + 19, "violation.corrected", corrects, source="people"))
        batches.append(records)
    return batches


def _read(number: int) -> str:
    return _event(number, "anpr.read", {"plate": f"K{number % 7}"})


def _event(number: int, kind: str, data: dict[str, Any], source: str = "camera") -> str:
    # Two days, so that history has two.
    second = number + (86_000 if number >= 20 * BATCHES // 2 else 0)
    event = {"specversion": "1.0", "id": str(number), "source": source, "type": kind}
    return json.dumps({**event, "time": moment(second), "receivedat": moment(second), "data": data})


def chunk(records: list[str]) -> Chunk:
    """A batch as it comes from a file."""
    raw = [record.encode() for record in records]
    table = pa.table([range(1, len(raw) + 1), raw], schema=records_schema())
    return Chunk(Origin("day.ndjson"), Format.JSON, table)


class Day:
    """What `run_bounded` reads: the whole day as one source."""

    name = "day.ndjson"

    def chunks(self) -> Iterator[Chunk]:
        for records in lines():
            yield chunk(records)


def small_files() -> None:
    """Let a few hundred events go through every path: runs, merges, joined segments, days."""
    identity.FAN_IN = 2
    identity.Identities.__init__.__defaults__ = (25,)
    log_module.JOIN_AT = 3
    compaction.PUBLISH_ROWS = 50
    compaction.DAY_ROWS = 5
    compaction.DAY_FILES = 2
    bounded_module.BATCH_BYTES = 24_000
    upkeep_module._EVERY_S = 3600  # by hand, so that every run has the same moments


class City(NamedTuple):
    """Where one run keeps its things."""

    data: Path
    rules: Path
    acknowledged: Path
    trace: Path


def live(city: City, power: Power | None) -> None:
    """Send the day batch by batch through the door, and write down what was acknowledged."""
    small_files()
    settings = Settings()
    ruleset = load_rules([city.rules], settings, run_tests=False)
    parser = Parser(settings)
    if power:
        power.plug_in()
    with Engine(city.data, ruleset, settings) as engine, city.acknowledged.open("ab", buffering=0) as told:
        for number, records in enumerate(lines()):
            receipt = engine.submit(parser.parse(chunk(records)), "day.ndjson")
            told.write(f"{number} {receipt.accepted + receipt.duplicates}\n".encode())
            engine.drain()
            while engine.keep_up():
                pass


def bounded(city: City, power: Power | None) -> None:
    """Read the day as `run --once` does."""
    small_files()
    settings = Settings()
    ruleset = load_rules([city.rules], settings, run_tests=False)
    parser = Parser(settings)
    if power:
        power.plug_in()
    with Engine(city.data, ruleset, settings) as engine:
        summary = engine.run_bounded([Day()], [parser.parse])
    city.acknowledged.write_text(json.dumps(summary.as_json()), "utf-8")


def process(kind: str, city: City, at: int, torn: bool) -> None:
    """What the forked process does; `at` < 0: without hooks."""
    power = Power(city.trace, at, torn=torn) if at >= 0 else None
    {"live": live, "bounded": bounded}[kind](city, power)
    os._exit(0)


def alerts(data: Path) -> list[dict[str, Any]]:
    """All alerts but for when they were touched."""
    with Desk(data / "desk.sqlite") as desk:
        found = [json.loads(line) for line in desk.lines(Choice())]
    return [{name: value for name, value in alert.items() if name != "updated_at"} for alert in found]


def events(data: Path) -> list[tuple[Any, ...]]:
    """All events in history with all that decides alerts."""
    with duckdb.connect() as con:
        History(data).create_view(con)
        columns = "source, id, type, epoch_us(time), epoch_us(received_at), late, stale, backfill, data"
        return con.execute(f"SELECT {columns} FROM events ORDER BY source, id, time").fetchall()
