"""What a job on Spark has received: its workers write files of it, and the driver lets them count, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.errors import StoreError
from citywatch.settings import DAY
from citywatch.stores.archive import daily
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.publishing import by_part
from citywatch.stores.archive.writing import write_files
from citywatch.stores.desk import Desk
from citywatch.stores.log import parquet_options

SPARK = "spark "
"""What names of checkpoints begin with."""
EVENTS, REJECTED = "events", "rejected"
_COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(("section", "part", "path"), pa.string()),
    **dict.fromkeys(("rows", "bytes"), pa.int64()),
}
WRITTEN = pa.schema(_COLUMNS)
"""Files that were written: section of the manifest, part, path, rows, bytes."""


def written_events(archive: Archive, events: pa.Table) -> pa.Table:
    """Write events (`stored_schema`), by day and type; gives back `WRITTEN`, settled with the archive."""
    ordered = events.sort_by([("type", "ascending"), ("time", "ascending"), ("seq", "ascending")])
    options = parquet_options("zstd", kept=True)
    parts = ((part, write_files(archive, f"{EVENTS}/{part}", tables, options)) for part, tables in by_part([ordered]))
    return _listed(EVENTS, parts)


def written_rejected(archive: Archive, rejected: pa.Table) -> pa.Table:
    """Write refused records (`rejected_schema`), by day of receipt; the same."""
    return _listed(REJECTED, _by_day(archive, rejected))


def _by_day(archive: Archive, rejected: pa.Table) -> Iterator[tuple[str, list[File]]]:
    days = rejected["received_at"].cast(pa.int64()).to_numpy() // DAY
    for number in np.unique(days).tolist():
        rows = rejected.filter(pa.array(days == number))
        seen = rows["received_at"]
        own = {"first_seen": seen, "last_seen": seen, "count": pa.array(np.ones(len(rows), np.int64))}
        own["replayed"] = pa.array(np.zeros(len(rows), np.bool_))
        columns = [own[name] if name in own else rows[name] for name in daily.REJECTED.names]
        table = pa.table(columns, names=daily.REJECTED.names).cast(daily.REJECTED)
        day = str(np.datetime64(number, "D"))
        yield day, write_files(archive, f"{REJECTED}/day={day}", [table], daily.OPTIONS)


def _listed(section: str, parts: Iterable[tuple[str, list[File]]]) -> pa.Table:
    rows = [(section, part, file.path, file.rows, file.bytes) for part, files in parts for file in files]
    return pa.table([list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 5, schema=WRITTEN)


@dataclass(frozen=True)
class Received:
    """One batch of the job.

    Attributes
    ----------
    job
        Name of the job's checkpoint, which no other has.
    number
        Of the batch; -1 for what is no batch.
    written
        `WRITTEN`.
    settings
        Those that belong to the data directory.
    population
        Content of its `population.csv`.
    anew
        The checkpoint before is lost: the archive is this job's from now on, whichever had it.
    """

    job: str
    number: int
    written: pa.Table
    settings: Mapping[str, Any]
    population: str | None = None
    anew: bool = False


def take_over(archive: Archive, received: Received, desk: Desk | None) -> bool:
    """Let the files of a batch count, with the alerts of the desk as they are now; False where they did before.

    Raises StoreError, also where the archive is that of another job or data directory.
    """

    def changed(manifest: Manifest) -> tuple[Manifest, list[File]] | None:
        manifest = _ours(manifest, received, archive)
        alerts = manifest.alerts if desk is None else _alerts(archive, manifest, desk)
        fresh = received.number > manifest.batch
        if not fresh and alerts == manifest.alerts:
            return None
        gone = [file for files in set(manifest.alerts.values()) - set(alerts.values()) for file in files]
        new = replace(
            archive.forget_replaced(manifest),
            directory=received.job,
            settings=dict(received.settings),
            population=received.population,
            alerts=alerts,
        )
        return (_with_files(new, received) if fresh else new), gone

    return archive.change(changed) is not None


def _alerts(archive: Archive, manifest: Manifest, desk: Desk) -> dict[str, tuple[File, ...]]:
    return daily.renewed(archive, "alerts", manifest.alerts, daily.alert_marks(desk), daily.alerts_of(desk))


def _ours(manifest: Manifest, received: Received, archive: Archive) -> Manifest:
    """The manifest, if it is that of this job, or may be."""
    if not manifest.number or manifest.directory == received.job:
        return manifest
    if received.anew and manifest.directory.startswith(SPARK):
        return replace(manifest, directory=received.job, batch=-1)
    what = "is the archive of another job: its checkpoint is not this one; if that is lost, say --anew"
    hint = "name a directory of its own for each checkpoint, and for each data directory"
    raise StoreError(f"{archive.address} {what}", hint=hint)


def _with_files(manifest: Manifest, received: Received) -> Manifest:
    parts = {EVENTS: dict(manifest.events), REJECTED: dict(manifest.rejected)}
    for row in received.written.to_pylist():
        file = File(row["path"], row["rows"], row["bytes"])
        section = parts[row["section"]]
        section[row["part"]] = (*section.get(row["part"], ()), file)
    ours = pc.equal(received.written["section"], pa.scalar(EVENTS))
    rows = pc.sum(received.written.filter(ours)["rows"]).as_py() or 0
    return replace(
        manifest,
        seq=manifest.seq + rows,
        batch=received.number,
        events=parts[EVENTS],
        rejected=parts[REJECTED],
    )
