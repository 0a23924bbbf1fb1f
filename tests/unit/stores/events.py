"""Small batches of stored events for the tests of the stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from citywatch.event import batch_schema
from citywatch.settings import DAY

START = 1_767_614_400_000_000  # 2026-01-05T12:00:00Z


def batch(times: Sequence[int], first: int = 1, **columns: Sequence[Any]) -> pa.Table:
    """Events at `times` (µs), numbered from `first`, received when they happened; `columns` sets others."""
    count = len(times)
    numbers = range(first, first + count)
    given: dict[str, Sequence[Any]] = {
        "seq": list(numbers),
        "id": [str(n) for n in numbers],
        "source": ["test"] * count,
        "type": ["sensor.reading"] * count,
        "time": times,
        "received_at": times,
        "late": [False] * count,
        "stale": [False] * count,
        "backfill": [False] * count,
        "data": ["{}"] * count,
        "ident_hi": [n * 2654435761 for n in numbers],
        "ident_lo": list(numbers),
        "fingerprint": [0] * count,
        **columns,
    }
    schema = batch_schema()
    arrays = [pa.array(given.get(field.name, [None] * count), field.type) for field in schema]
    return pa.table(arrays, schema=schema)


def on_days(days: Sequence[int], first: int = 1) -> pa.Table:
    """One event on each of `days` (days since the start)."""
    return batch([START + day * DAY for day in days], first)
