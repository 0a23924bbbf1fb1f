"""Events as the step gets them: Arrow batches of `event.batch_schema()`, from what the oracle read."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from citywatch.event import batch_schema
from tests.conformance.cases import EPOCH, Case
from tests.oracle import Event, read


def batch_of(case: Case, start: int, end: int) -> pa.Table:
    """The accepted events among items start..end of the case, with what was decided about them on the way in."""
    events = [event for event in read(case.items, case.settings).events if start <= event.position < end]
    rows = [_row(event) for event in events]
    return pa.Table.from_pylist(rows, schema=batch_schema())


def _row(event: Event) -> dict[str, Any]:
    identity = hashlib.sha256(json.dumps([event.source, event.id]).encode()).digest()
    own = {
        "seq": event.position + 1,
        "stale": event.stale,
        "backfill": event.backfill,
        "data": None if event.data is None else json.dumps(event.data, ensure_ascii=False),
        "time": _datetime(event.time),
        "received_at": _datetime(event.received_at),
        "ident_hi": int.from_bytes(identity[:8]),
        "ident_lo": int.from_bytes(identity[8:12]),
        "fingerprint": int.from_bytes(identity[12:16]),
    }
    return {**event.fields, **own}


def _datetime(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)
