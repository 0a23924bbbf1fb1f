"""Few files of a good size of many small ones, part by part; who reads meanwhile sees the old ones or the new ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.errors import StoreError
from citywatch.stores.archive import daily
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.writing import LEAST, MOST, RAW, ROW_GROUP, stored_schema, write_files
from citywatch.stores.log import parquet_options

ENOUGH = 8
"""So many small files of a part are merged as they come; an asked-for merge takes two."""

_PASSES = 3
_READ = 2_000
_GROUP = 64 << 20
"""Rows are read so many at a time, and so many bytes of them make a group: the bytes of a record may be many."""


@dataclass(frozen=True)
class _Section:
    """Of the manifest. `schema`: of a file with columns of these names."""

    name: str
    options: Mapping[str, Any]
    schema: Callable[[Sequence[str]], pa.Schema]

    def files(self, manifest: Manifest, part: str) -> list[File]:
        """Those that may be merged; a data directory writes its rejected records anew by itself, under marks."""
        parts: Mapping[str, tuple[File, ...]] = getattr(manifest, self.name)
        return [file for file in parts.get(part, ()) if not file.mark]

    def replaced(self, manifest: Manifest, part: str, gone: Sequence[File], new: Sequence[File]) -> Manifest | None:
        """The manifest with other files; None where not all that are to go are there."""
        files = self.files(manifest, part)
        if any(file not in files for file in gone):
            return None
        left = (*(file for file in files if file not in gone), *new)
        parts: dict[str, Any] = {self.name: {**getattr(manifest, self.name), part: left}}
        return replace(manifest, **parts)


_SECTIONS = (
    _Section("events", parquet_options("zstd", kept=True), lambda names: stored_schema(raw=RAW in names)),
    _Section("rejected", daily.OPTIONS, lambda _: daily.REJECTED),
)


def merge(archive: Archive, enough: int = ENOUGH, *, least: int = LEAST, most: int = MOST) -> int:
    """Merge every part that has `enough` small files; returns how many files fewer there are.

    Afterwards, with `enough` = 2, every file has `least` to `most` bytes, but for that of a part which has less in all.
    `least` is a quarter of `most` or less. A part that other jobs change all the time is left for the next time.
    """
    fewer = 0
    for section in _SECTIONS:
        for part in sorted(getattr(archive.manifest(), section.name)):
            fewer += _merge_part(archive, section, part, enough, (least, most))
    return fewer


def _merge_part(archive: Archive, section: _Section, part: str, enough: int, bounds: tuple[int, int]) -> int:
    fewer, (least, most) = 0, bounds
    for _ in range(_PASSES):  # what is written together takes less room, and may be too small once more
        chosen = mergeable(section.files(archive.manifest(), part), least, most)
        if len(chosen) < enough and not any(file.bytes > most for file in chosen):
            break
        merged = _merge(archive, section, part, chosen, pieces(sum(file.bytes for file in chosen), most))
        fewer += len(chosen) - len(merged)
        if all(least <= file.bytes <= most for file in merged):
            break
    return fewer


def mergeable(files: Sequence[File], least: int = LEAST, most: int = MOST) -> list[File]:
    """The files of a part that are too small or too large; with the smallest other one, if they are too little alone.

    None where there is but a single small one.
    """
    wrong = [file for file in files if not least <= file.bytes <= most]
    if wrong and sum(file.bytes for file in wrong) < least:
        others = sorted((file for file in files if file not in wrong), key=lambda file: file.bytes)
        wrong += others[:1]
    return wrong if len(wrong) > 1 or any(file.bytes > most for file in wrong) else []


def pieces(total: int, most: int = MOST) -> int:
    """How many files are made of so many bytes: several have more than a quarter of `most` each, and at most half."""
    return max(1, -(-total // (most // 2)))


def _merge(archive: Archive, section: _Section, part: str, chosen: list[File], number: int) -> list[File]:
    """The files that are there instead: the same ones, where another job was quicker."""
    directory = chosen[0].path.rpartition("/")[0]
    tables = (table for file in chosen for table in _read(archive, section, file))
    merged: list[File] = []
    for _, cut in groupby(_cut(tables, _edges(chosen, number)), key=lambda piece: piece[0]):
        groups = _grouped(table for _, table in cut)
        merged += write_files(archive, directory, groups, section.options, target=float("inf"))
    if sum(file.rows for file in merged) != sum(file.rows for file in chosen):
        raise StoreError(f"files of {part} changed while they were merged", hint="nothing was replaced; try again")

    def replaced(manifest: Manifest) -> tuple[Manifest, list[File]] | None:
        new = section.replaced(manifest, part, chosen, merged)
        return None if new is None else (archive.forget_replaced(new), chosen)

    return chosen if archive.change(replaced) is None else merged


def _edges(files: Sequence[File], number: int) -> list[int]:
    """Numbers of the rows with which another piece begins, so that all of them have about the same size."""
    size, rows = (np.cumsum([0, *column]) for column in zip(*((file.bytes, file.rows) for file in files), strict=True))
    return [int(edge) for edge in np.interp(np.arange(1, number) * size[-1] / number, size, rows)]


def _cut(tables: Iterable[pa.Table], edges: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """Tables, cut where another piece begins, each with the number of its piece."""
    at = 0
    for table in tables:
        inside = [edge - at for edge in edges if at < edge < at + len(table)]
        for start, stop in pairwise([0, *inside, len(table)]):
            yield bisect_right(edges, at + start), table.slice(start, stop - start)
        at += len(table)


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables that are worth a group of rows each."""
    some: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        some.append(table)
        rows, size = rows + len(table), size + table.nbytes
        if rows >= ROW_GROUP or size >= _GROUP:
            yield pa.concat_tables(some)
            some, rows, size = [], 0, 0
    if some:
        yield pa.concat_tables(some)


def _read(archive: Archive, section: _Section, file: File) -> Iterator[pa.Table]:
    try:
        with archive.files.open(f"{archive.root}/{file.path}") as opened:
            found = pq.ParquetFile(opened)
            schema = section.schema(found.schema_arrow.names)
            for batch in found.iter_batches(_READ):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None).cast(schema)
    except (pa.ArrowException, FileNotFoundError) as error:
        raise StoreError(f"{archive.url(file)} cannot be read: {error}", hint="restore it from a copy") from error
