"""Violations and corrections of the log, followed by those who make proposals of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from citywatch.errors import StoreError
from citywatch.stores.desk import Desk
from citywatch.stores.desk.corrections import correction_rows
from citywatch.stores.desk.proposals import CHUNK, CURSOR, DETAILS, Violation
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History

VIOLATION = "drone.violation"
CORRECTED = "violation.corrected"

_COLUMNS = ["source", "id", "time", "plate", "plate_state", "violation_code", "needs_human", *DETAILS]
_CORRECTION = ["type", "source", "id", "time", "corrects_source", "corrects_id", "violation_code", "data"]


def follow(data: DataDirectory, desk: Desk, *, within: int) -> int:
    """Take into the desk's proposals what the log has and they do not; returns how many events were looked at.

    Any number of processes may do this at the same time: each event counts once, and a stop in between repeats what was
    done since the cursor. `within` is µs, see `Proposals.put_violations`.
    """
    desk.regroup(within)
    above = desk.cursor(CURSOR)
    history = History(data.path)
    last = history.rows()
    if last <= above:
        return 0
    found = False
    for path in history.paths(above):
        for violations, corrections in _read(path, above):
            found = True
            desk.put_violations(violations, corrections, within=within)
    if found or last - above >= _FORGET:
        desk.move_cursor(CURSOR, last)
    return last - above


_FORGET = 10_000
"""Events without a violation after which the place in the log is written down: until then they are looked at again."""


def _read(path: Path, above: int) -> Iterator[tuple[list[Violation], list[tuple[Any, ...]]]]:
    """The violations with a plate, then the corrections, of one file."""
    try:
        events = ds.dataset(path, format="parquet", partitioning=None)
        new = ds.field("seq") > above
        wanted = new & (ds.field("type") == VIOLATION) & ds.field("plate").is_valid()
        for batch in events.to_batches(columns=_COLUMNS, filter=wanted, batch_size=10 * CHUNK):
            if batch.num_rows:
                yield _violations(batch), []
        corrections = events.to_table(columns=_CORRECTION, filter=new & (ds.field("type") == CORRECTED))
        if corrections.num_rows:
            yield [], correction_rows(corrections)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read: {error}", hint="restore it from a backup") from error


def _violations(batch: pa.RecordBatch) -> list[Violation]:
    at = batch.schema.get_field_index("time")
    return [_violation(row) for row in batch.set_column(at, "time", batch["time"].cast(pa.int64())).to_pylist()]


def _violation(row: dict[str, Any]) -> Violation:
    details = {name: row[name] for name in DETAILS if row[name] is not None}
    code = None if row["needs_human"] or (row["violation_code"] or 0) <= 0 else row["violation_code"]
    return Violation(row["source"], row["id"], row["time"], row["plate"], row["plate_state"], code, details)
