"""Words for the tests of the intake: lines in, events and reasons out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings

from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.load import load_mappings
from citywatch.mappings.model import Mapping, Sample
from citywatch.mappings.parse import Parser
from citywatch.mappings.samples import SampleReader
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, records_schema
from citywatch.settings import Settings

checked = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
"""Hypothesis at the pace of a machine that has other work."""

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def parser(zones: dict[str, Any] | None = None, *, mapped: bool = False, **given: Any) -> Parser:
    mappings = load_mappings() if mapped else []
    return Parser(Settings(**given), mappings, gazetteer=Gazetteer(zones or {}), clock=lambda: micros(NOW), threads=1)


def parse_sample(mapping: Mapping, sample: Sample) -> Parsed:
    """What a shipped mapping, and no other, makes of a sample of it."""
    return _sample_reader(mapping.name).parse(sample)


@cache
def _sample_reader(name: str) -> SampleReader:
    return SampleReader(next(mapping for mapping in load_mappings() if mapping.name == name))


def chunk(
    lines: Sequence[bytes | str],
    *,
    replay: bool = True,
    arrived: datetime | None = NOW,
    day: date | None = None,
    name: str = "events.ndjson",
) -> Chunk:
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    records = pa.table([list(range(1, len(raw) + 1)), raw], schema=records_schema())
    return Chunk(Origin(name, micros(arrived) if arrived else None, replay, day), Format.JSON, records)


def cloudevent(data: Any = None, **attributes: Any) -> str:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-05-04T11:59:59Z"}
    event = {name: value for name, value in (event | attributes).items() if value is not None}
    return json.dumps(event if data is None else event | {"data": data})


def reasons(parsed: Parsed) -> list[str]:
    return [str(reason) for reason in parsed.rejected["reason"].to_pylist()]


def only(parsed: Parsed) -> dict[str, Any]:
    """The one event there is."""
    assert reasons(parsed) == []
    (event,) = parsed.events.to_pylist()
    made: dict[str, Any] = event
    return made


def only_reason(parsed: Parsed) -> str:
    assert parsed.events.num_rows == 0
    (reason,) = reasons(parsed)
    return reason
