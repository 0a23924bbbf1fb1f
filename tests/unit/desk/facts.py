"""Alert facts as the engine would say them, for tests of the desk and of those who read it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from citywatch.alert import facts_schema
from citywatch.settings import SECOND
from citywatch.wording import iso

NOW = 1_777_636_800 * SECOND
"""2026-05-01T12:00:00Z."""


def alert_id(name: str | int) -> str:
    """The id of the alert that a test calls so."""
    return hashlib.sha256(str(name).encode()).hexdigest()


def event(event_id: str, *, source: str = "drone/4", kind: str = "drone.violation", **data: Any) -> dict[str, Any]:
    """An event of an alert's evidence."""
    return {"source": source, "id": event_id, "type": kind, "time": iso(NOW), "data": data}


def fact(name: str | int = 1, **told: Any) -> dict[str, Any]:
    """One fact; what a test does not care about is filled in."""
    evidence = told.pop("evidence", [event("17", plate="K1234", violation_code=46, lat=40.7, lon=-73.9)])
    first_seen = told.pop("first_seen", NOW)
    return {
        "id": alert_id(name),
        "rule": "cloned_plate",
        "rule_id": "6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11",
        "rule_version": "v1",
        "title": "Same plate too far apart to be one vehicle",
        "level": "high",
        "status": "stable",
        "group": json.dumps(told.pop("group", {"plate": "K1234"})),
        "first_seen": first_seen,
        "last_seen": told.pop("last_seen", first_seen),
        "count": 1,
        "late": False,
        "lat": 40.7,
        "lon": -73.9,
        "address": None,
        "reason": "K1234 seen 31.2 km apart within 4 min (468 km/h)",
        "values": json.dumps(told.pop("values", {"speed_kmh": 468.0})),
        "evidence": json.dumps(evidence),
        "inconclusive": False,
        "silent": False,
        **told,
    }


def table(facts: Iterable[dict[str, Any]]) -> pa.Table:
    """Facts as the engine hands them over."""
    schema = facts_schema()
    loose = pa.schema([pa.field(f.name, pa.int64() if f.name.endswith("_seen") else f.type) for f in schema])
    return pa.Table.from_pylist(list(facts), schema=loose).cast(schema)


def correction(event_id: str, *, code: int | None, at: int = NOW, of: str = "17", **more: Any) -> dict[str, Any]:
    """A `violation.corrected` event of a batch."""
    return {
        "type": "violation.corrected",
        "source": more.pop("source", "desk/1"),
        "id": event_id,
        "time": at,
        "corrects_source": more.pop("of_source", "drone/4"),
        "corrects_id": of,
        "violation_code": code,
        "data": json.dumps(more),
    }


def batch(events: Iterable[dict[str, Any]]) -> pa.Table:
    """Events with the columns that corrections need."""
    time = pa.timestamp("us", tz="UTC")
    text = pa.string()
    names = ("type", "source", "id", "time", "corrects_source", "corrects_id", "violation_code", "data")
    types: tuple[pa.DataType, ...] = (text, text, text, pa.int64(), text, text, pa.int16(), text)
    schema = pa.schema([pa.field(name, of) for name, of in zip(names, types, strict=True)])
    rows = pa.Table.from_pylist(list(events), schema=schema)
    return rows.set_column(3, "time", rows["time"].cast(time))
