"""Take over what a data directory has and its archive has not: events by day and type, alerts and rejected by day.

The archive itself says how far it has come, so that nothing is there twice whatever stops half-way. An engine may run
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from citywatch.errors import StoreError
from citywatch.event import batch_schema
from citywatch.records.columns import one_array
from citywatch.settings import DAY
from citywatch.stores.archive import daily
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.writing import ROW_GROUP, write_files
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History
from citywatch.stores.log import parquet_options
from citywatch.stores.sorter import Sorter

ROUND = 4_000_000
"""Events that are taken over before the archive says that it has them."""

_TRIES = 5
_ORDER = ["type", "time", "seq"]


@dataclass(slots=True)
class Published:
    """What was taken over."""

    events: int = 0
    alert_days: int = 0
    rejected_days: int = 0


def publish(data: DataDirectory, directory: str, archive: Archive) -> Published:
    """Take over everything that is new; `directory` is the name of the data directory among others.

    Raises StoreError, also where the archive is that of another data directory.
    """
    told, history = Published(), History(data.path)
    manifest = _ours(archive.manifest(), directory, archive)
    last, tries = history.rows(), 0
    while manifest.seq < last:
        until = min(manifest.seq + ROUND, last)
        new = replace(manifest, directory=directory, seq=until, settings=data.stored())
        found = archive.commit(_with_events(archive, new, history, manifest.seq), [])
        if found is not None:
            told.events += until - manifest.seq
        tries = _tried(archive, tries, found)
        manifest = found or _ours(archive.manifest(), directory, archive)
    while (found := _with_desk(data, directory, archive, manifest, told)) is None:
        tries = _tried(archive, tries, found)
        manifest = _ours(archive.manifest(), directory, archive)
    return told


def _tried(archive: Archive, tries: int, found: Manifest | None) -> int:
    if found is None and tries >= _TRIES:
        raise StoreError(f"other jobs publish to {archive.address} all the time", hint="let one job do it")
    return tries + (found is None)


def _ours(manifest: Manifest, directory: str, archive: Archive) -> Manifest:
    if manifest.number and manifest.directory != directory:
        raise StoreError(
            f"{archive.address} is the archive of another data directory", hint="name a directory of its own for each"
        )
    return manifest


def _with_events(archive: Archive, manifest: Manifest, history: History, above: int) -> Manifest:
    """The manifest with files for the events numbered in (above, manifest.seq]."""
    events = {part: tuple(files) for part, files in manifest.events.items()}
    with TemporaryDirectory(prefix="citywatch-") as spill, Sorter(Path(spill), _ORDER) as sorter:
        for table in _read(history, above, manifest.seq):
            sorter.add(table)
        for part, tables in by_part(sorter.batches(ROW_GROUP)):
            files = write_files(archive, f"events/{part}", tables, parquet_options("zstd", kept=True))
            events[part] = (*events.get(part, ()), *files)
    return replace(manifest, events=events)


def _read(history: History, above: int, until: int) -> Iterator[pa.Table]:
    wanted = (ds.field("seq") > above) & (ds.field("seq") <= until)
    for path in history.paths(above):
        try:
            events = ds.dataset(path, format="parquet", partitioning=None)
            for batch in events.to_batches(filter=wanted):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None).cast(batch_schema())
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path} cannot be read: {error}", hint="restore it from a backup") from error


def by_part(tables: Iterable[pa.Table]) -> Iterator[tuple[str, Iterator[pa.Table]]]:
    """The directory of each type and day, with its events; tables are in order of type and time.

    Read one to its end before the next.
    """
    for part, slices in groupby(_slices(tables), key=lambda piece: piece[0]):
        yield part, (table for _, table in slices)


def _slices(tables: Iterable[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    for table in tables:
        if not len(table):
            continue
        days = table["time"].cast(pa.int64()).to_numpy() // DAY
        kinds: Any = one_array(table["type"]).dictionary_encode()
        changes = np.flatnonzero(np.diff(days) | np.diff(kinds.indices.to_numpy())) + 1
        edges = [0, *changes.tolist(), len(table)]
        for start, stop in pairwise(edges):
            kind = str(table["type"][start].as_py())
            yield part_name(str(np.datetime64(int(days[start]), "D")), kind), table.slice(start, stop - start)


def part_name(day: str, kind: str) -> str:
    """Directory of the events of a day (UTC) and a type, as Hive has it."""
    return f"day={day}/type={quote(kind, safe='')}"


def _with_desk(
    data: DataDirectory, directory: str, archive: Archive, manifest: Manifest, told: Published
) -> Manifest | None:
    """The manifest with alerts and rejected records as they are now; itself when nothing has changed."""
    with Desk(data.desk, create=False) as desk:
        alerts = daily.renewed(archive, "alerts", manifest.alerts, daily.alert_marks(desk), daily.alerts_of(desk))
        rejected = daily.renewed(
            archive, "rejected", manifest.rejected, daily.rejected_marks(desk), daily.rejected_of(desk)
        )
    people = data.path / "population.csv"
    new = replace(
        archive.forget_replaced(manifest),
        directory=directory,
        settings=data.stored(),
        alerts=alerts,
        rejected=rejected,
        population=people.read_text("utf-8") if people.exists() else None,
    )
    if manifest.number and asdict(replace(new, replaced={})) == asdict(replace(manifest, replaced={})):
        return manifest
    found = archive.commit(new, [*_gone(manifest.alerts, alerts), *_gone(manifest.rejected, rejected)])
    if found is not None:
        told.alert_days += len(set(alerts.values()) - set(manifest.alerts.values()))
        told.rejected_days += len(set(rejected.values()) - set(manifest.rejected.values()))
    return found


def _gone(before: Any, after: Any) -> list[File]:
    return [file for files in set(before.values()) - set(after.values()) for file in files]
