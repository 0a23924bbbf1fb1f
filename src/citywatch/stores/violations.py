"""Violations and corrections of the log, followed by those who make proposals of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

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


class Following:
    """Takes into the desk's proposals what the log has and they do not.

    Any number of processes may do this at the same time: each event counts once, and a stop in between repeats what was
    done since the cursor.

    Parameters
    ----------
    within
        µs, see `Proposals.put_violations`.
    """

    def __init__(self, data: DataDirectory, desk: Desk, *, within: int) -> None:
        self._data, self._desk, self._within = data, desk, within
        self._looked = 0

    def once(self) -> int:
        """Look at what has come; returns how many events that was."""
        self._desk.regroup(self._within)
        reached = self._desk.cursor(CURSOR)
        above = max(reached, self._looked)
        history = History(self._data.path)
        last = history.rows()
        if last <= above:
            return 0
        found = False
        for path in history.paths(above):
            for violations, corrections in _read(path, above):
                found = True
                self._desk.put_violations(violations, corrections, within=self._within)
        if found or last - reached >= _FORGET:
            self._desk.move_cursor(CURSOR, last)
        self._looked = last
        return last - above


def follow(data: DataDirectory, desk: Desk, *, within: int) -> int:
    """`Following` a single time."""
    return Following(data, desk, within=within).once()


_FORGET = 10_000
"""Events without a violation after which the place in the log is written down: others need not look at them again."""


def _read(path: Path, above: int) -> Iterator[tuple[list[Violation], list[tuple[Any, ...]]]]:
    """The violations with a plate, then the corrections, of one file."""
    try:
        if not _may_hold(path, (VIOLATION, CORRECTED)):
            return
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


def _may_hold(path: Path, types: Sequence[str]) -> bool:
    """Whether what a file says of itself leaves room for events of these types: quicker than to look for them."""
    metadata = pq.read_metadata(path)
    column = metadata.schema.names.index("type")
    said: Iterator[Any] = (
        metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)
    )
    return any(not of or not of.has_min_max or any(of.min <= type_ <= of.max for type_ in types) for of in said)


def _violations(batch: pa.RecordBatch) -> list[Violation]:
    at = batch.schema.get_field_index("time")
    return [_violation(row) for row in batch.set_column(at, "time", batch["time"].cast(pa.int64())).to_pylist()]


def _violation(row: dict[str, Any]) -> Violation:
    details = {name: row[name] for name in DETAILS if row[name] is not None}
    code = None if row["needs_human"] or (row["violation_code"] or 0) <= 0 else row["violation_code"]
    return Violation(row["source"], row["id"], row["time"], row["plate"], row["plate_state"], code, details)
