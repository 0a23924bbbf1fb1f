"""Turn segments of the log into files by day, a bounded number of them whatever the order of dates.

A range is published when it is large; each of its days that has enough events gets a file, the others wait together
in the rest, which is read again with the next range. Files of a day are merged when there are several of like size.
Each step writes new files first, then renames the manifest; what is replaced is removed much later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.event import batch_schema
from citywatch.settings import DAY
from citywatch.stores import durable
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import REST, HistoryFile, Manifest
from citywatch.stores.log import GRACE_S, Log, parquet_options, parts_of
from citywatch.stores.sorter import Sorter

PUBLISH_ROWS = 4_000_000
"""So many events wait in segments before they are published by day."""
DAY_ROWS = 1_000
"""A day with fewer events in a range stays in the rest."""
DAY_FILES = 4
"""So many files of a day, each at most this many times larger than the one before, become one."""
FILE_ROWS = 8_000_000
"""Files of so many rows are not merged again."""

Numbers = npt.NDArray[np.int64]

_ROW_GROUP = 122_880
_SORTED_BYTES = 32 << 20
"""Of events that are put in order at once: this goes on beside all else, and several times as much is needed for it."""
_MERGED_ROWS = 16_384
"""Read at a time, and of all days on their way to their files."""
_ORDER = ["time", "seq"]


class Compactor:
    """Writes the history of one data directory; only the engine that holds the directory has one."""

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self._log = Log(data.log)

    def due(self, until: int) -> bool:
        """Whether enough events up to number `until` wait to be published."""
        return until - Manifest.read(self._data.history).seq >= PUBLISH_ROWS

    def publish(self, until: int) -> int:
        """Publish whole segments up to number `until`; returns the number of the last event that is published.

        Doing it again after a crash writes the same files again.
        """
        manifest = Manifest.read(self._data.history)
        segments = [segment for segment in self._log.segments(manifest.seq) if segment.last <= until]
        if not segments:
            return manifest.seq
        rest = [self._data.history / file.path for file in manifest.days.get(REST, [])]
        name = f"{manifest.seq + 1:016d}-{segments[-1].last:016d}.parquet"
        self._data.require_space(2 * sum(segment.path.stat().st_size for segment in segments))
        parts = (self._log.parts(segment, manifest.seq, _MERGED_ROWS) for segment in segments)
        rests = (parts_of(path, _MERGED_ROWS) for path in rest)
        written = self._write_days(chain.from_iterable(chain(rests, parts)), name)
        days = {day: files for day, files in manifest.days.items() if day != REST}
        days |= {day: [*days.get(day, []), file] for day, file in written.items()}
        old = [*rest, *self._log.paths(segments[-1].last)]
        footer = self._log.footer(segments[-1])
        self._commit(replace(manifest, seq=segments[-1].last, days=days, footer=footer), old)
        return segments[-1].last

    def merge_day(self, enough: int = DAY_FILES) -> bool:
        """Merge the files of one day that has `enough` of them; False when there is none."""
        manifest = Manifest.read(self._data.history)
        found = ((day, files) for day, files in sorted(manifest.days.items()) if len(_mergeable(files)) >= enough)
        day, files = next(found, ("", []))
        if not files:
            return False
        group = _mergeable(files)
        self._data.require_space(2 * sum(file.bytes for file in group))
        spans = [Path(file.path).stem.split("-")[:2] for file in group]
        last = max(last for _, last in spans)
        name = f"{min(first for first, _ in spans)}-{last}-{manifest.version + 1}.parquet"
        with self._sorter() as sorter:
            for file in group:
                for table in parts_of(self._data.history / file.path, _MERGED_ROWS):
                    sorter.add(table)
            merged = self._write(f"day={day}/{name}", sorter.batches(_ROW_GROUP))
        days = manifest.days | {day: [*(file for file in files if file not in group), merged]}
        self._commit(replace(manifest, days=days), [self._data.history / file.path for file in group])
        return True

    def drop(self, events: Mapping[str, Numbers]) -> None:
        """Take events out of history: `events` has the numbers of those to drop, ascending, by path of their file.

        Readers see all of them or none.
        """
        manifest = Manifest.read(self._data.history)
        days: dict[str, list[HistoryFile]] = {}
        for day, files in manifest.days.items():
            left = [
                self._without(file, events[file.path], manifest.version) if file.path in events else file
                for file in files
            ]
            if kept := [file for file in left if file is not None]:
                days[day] = kept
        self._commit(replace(manifest, days=days), [self._data.history / path for path in events])

    def _without(self, file: HistoryFile, dropped: Numbers, version: int) -> HistoryFile | None:
        """The file written anew without some of its events, None when nothing is left of it."""
        if len(dropped) == file.rows:
            return None
        path = Path(file.path)
        self._data.require_space(file.bytes)
        name = f"{path.parent}/{'-'.join(path.stem.split('-')[:2])}-{version + 1}.parquet"
        tables = parts_of(self._data.history / path, _MERGED_ROWS)
        return self._write(name, _large(table.filter(_others(table, dropped)) for table in tables))

    def remove_replaced(self, grace_s: float = GRACE_S) -> int:
        """Remove files that have been replaced for `grace_s` seconds, and what a crash has left; returns how many."""
        manifest = Manifest.read(self._data.history)
        old = time.time() - grace_s
        named = {self._data.history / file.path for file in manifest.files()}
        strays = [path for path in self._data.history.glob("*/*") if path not in named]
        gone = [path for path in strays if path.stat().st_mtime < old and self._name(path) not in manifest.replaced]
        gone += [self._data.path / name for name, at in manifest.replaced.items() if at < old]
        gone = [path for path in gone if path.exists()]
        for path in gone:
            path.unlink()
        return len(gone) + self._log.remove_covered(manifest.seq, grace_s)

    def _commit(self, manifest: Manifest, old: Iterable[Path]) -> None:
        now = time.time()
        waiting = {name: at for name, at in manifest.replaced.items() if (self._data.path / name).exists()}
        replaced = waiting | {self._name(path): now for path in old}
        replace(manifest, version=manifest.version + 1, replaced=replaced).write(self._data.history)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._data.path))

    def _sorter(self) -> Sorter:
        return Sorter(self._data.tmp, _ORDER, memory=_SORTED_BYTES)

    def _write_days(self, tables: Iterable[pa.Table], name: str) -> dict[str, HistoryFile]:
        rest: list[pa.Table] = []
        written: dict[str, HistoryFile] = {}
        with self._sorter() as sorter:
            for table in tables:
                sorter.add(table)
            for day, parts in _by_day(sorter.batches(_MERGED_ROWS)):
                first, enough = _up_to(parts, DAY_ROWS)
                if enough:
                    written[day] = self._write(f"day={day}/{name}", chain(first, parts))
                else:
                    rest += first
        if rest:
            written[REST] = self._write(f"rest/{name}", rest)
        return written

    def _write(self, name: str, tables: Iterable[pa.Table]) -> HistoryFile:
        path = self._data.history / name
        if not path.parent.exists():
            path.parent.mkdir()
            durable.sync_directory(self._data.history)
        rows = 0
        with (
            durable.written_aside(path) as aside,
            pq.ParquetWriter(aside, batch_schema(), **parquet_options("zstd", kept=True)) as writer,
        ):
            for table in tables:
                writer.write_table(table, row_group_size=_ROW_GROUP)
                rows += len(table)
        return HistoryFile(name, rows, path.stat().st_size)


def _others(table: pa.Table, dropped: Numbers) -> pa.Array[Any]:
    """Mask of the events that stay."""
    return pa.array(~np.isin(table.column("seq").to_numpy(), dropped, assume_unique=True))


def _large(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of about a row group each, none of them empty."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= _ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _mergeable(files: list[HistoryFile]) -> list[HistoryFile]:
    """The smaller files of a day that are worth one merge: neighbours in size, none much larger than all before it."""
    group: list[HistoryFile] = []
    for file in sorted(files, key=lambda file: file.rows):
        if file.rows >= FILE_ROWS or (len(group) >= DAY_FILES and file.rows > DAY_FILES * sum(f.rows for f in group)):
            break
        group.append(file)
    return group


def _by_day(tables: Iterable[pa.Table]) -> Iterator[tuple[str, Iterator[pa.Table]]]:
    """The days of tables in order of time, each with its events; read one day to its end before the next."""
    source = _slices(tables)
    current = next(source, None)

    def parts(day: int) -> Iterator[pa.Table]:
        nonlocal current
        while current is not None and current[0] == day:
            table = current[1]
            current = next(source, None)
            yield table

    while current is not None:
        day = current[0]
        yield str(np.datetime64(day, "D")), parts(day)


def _slices(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    for table in tables:
        days = table.column("time").cast(pa.int64()).to_numpy() // DAY
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1), len(days)]
        for start, stop in pairwise(edges):
            yield int(days[start]), table.slice(int(start), int(stop - start))


def _up_to(parts: Iterator[pa.Table], rows: int) -> tuple[list[pa.Table], bool]:
    """Tables until there are `rows` rows, and whether there were so many."""
    taken: list[pa.Table] = []
    for table in parts:
        taken.append(table)
        if sum(map(len, taken)) >= rows:
            return taken, True
    return taken, False
