"""The least that it takes to see what a simulation raises: lines through the parser and the step, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.step import Step
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Parsed
from citywatch.rules.load import load_rules, shipped
from citywatch.settings import SECOND, Settings
from citywatch.sources import open_source
from citywatch.sources.simulator.city import Plan
from citywatch.sources.simulator.stream import Planted

SETTINGS = Settings()
START = 1_777_636_800 * SECOND
"""2026-05-01T12:00:00Z"""


def plan(
    world: str = "city",
    *,
    seconds: int | None = 60,
    rate: float = 50,
    seed: int = 1,
    history: int = 0,
    images: float = 2,
) -> Plan:
    """A plan that begins at `START`; durations in seconds."""
    return Plan(world, seed, rate, START, None if seconds is None else seconds * SECOND, history * SECOND, images)


def parsed(address: str) -> Iterator[Parsed]:
    """What the parser makes of a simulation, chunk by chunk."""
    zones = load_rules([shipped()], SETTINGS, run_tests=False).zones
    parser = Parser(SETTINGS, gazetteer=Gazetteer(zones), threads=1)
    for source in open_source(address):
        for chunk in source.chunks():
            yield parser.parse(chunk)


@dataclass
class Raised:
    """The alerts of a simulation."""

    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Last fact of each by its id."""
    clock: int = 0

    def of(self, rule: str) -> list[dict[str, Any]]:
        """Those of one rule."""
        return [alert for alert in self.alerts.values() if alert["rule"] == rule]

    def explained_by(self, planted: Planted) -> list[str]:
        """Ids of the alerts that are what was planted: of its rule and key, with a match in its time."""
        return [
            alert["id"]
            for alert in self.of(planted.rule)
            if agrees(json.loads(alert["group"]), planted.group)
            and micros(alert["first_seen"]) <= planted.end
            and micros(alert["last_seen"]) >= planted.begin
        ]


def agrees(key: dict[str, Any], planted: Mapping[str, Any]) -> bool:
    """Whether the key of an alert is that of what was planted, as far as both name the same fields."""
    shared = key.keys() & planted.keys()
    return bool(shared) and all(key[name] == planted[name] for name in shared)


@cache
def raised(address: str) -> Raised:
    """Run the shipped rules over a simulation."""
    out = Raised()
    with duckdb.connect(config={"threads": 1}) as con:
        step = Step(con, load_rules([shipped()], SETTINGS, run_tests=False), SETTINGS)
        known: set[tuple[str, str]] = set()
        for part in parsed(address):
            events = _numbered(_first_deliveries(part.events, known), len(known))
            if len(events):
                out.clock = pc.max(events["received_at"].cast(pa.int64())).as_py()
            out.alerts |= {fact["id"]: fact for fact in step.advance(events, out.clock).to_pylist()}
    return out


def micros(moment: datetime) -> int:
    """µs since 1970 of a datetime."""
    return round(moment.timestamp() * SECOND)


def _first_deliveries(events: pa.Table, known: set[tuple[str, str]]) -> pa.Table:
    keep = []
    for source, id_ in zip(events["source"].to_pylist(), events["id"].to_pylist(), strict=True):
        keep.append((str(source), str(id_)) not in known)
        known.add((str(source), str(id_)))
    return events.filter(pa.array(keep, pa.bool_()))


def _numbered(events: pa.Table, last: int) -> pa.Table:
    column = events.schema.get_field_index("seq")
    return events.set_column(
        column, events.schema.field("seq"), pa.array(np.arange(len(events)) + last - len(events) + 1)
    )
