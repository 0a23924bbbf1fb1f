"""Few large files of many small ones, part by part; whoever reads meanwhile sees the old ones or the new ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.errors import StoreError
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.writing import LEAST, MOST, RAW, ROW_GROUP, TARGET, stored_schema, write_files
from citywatch.stores.log import parquet_options

ENOUGH = 8
"""So many small files of a part are merged as they come; an asked-for merge takes two."""


def merge(archive: Archive, enough: int = ENOUGH, *, least: int = LEAST, most: int = MOST) -> int:
    """Merge every part that has `enough` small files; returns how many files fewer there are.

    A part that another job changes meanwhile is left for the next time.
    """
    fewer = 0
    for part in sorted(archive.manifest().events):
        files = archive.manifest().events.get(part, ())
        chosen = mergeable(files, least, most)
        if len(chosen) >= enough:
            fewer += _merge(archive, part, chosen, most)
    return fewer


def mergeable(files: Sequence[File], least: int = LEAST, most: int = MOST) -> list[File]:
    """The small files of a part; with a single one, a larger one that can take it in."""
    small = [file for file in files if file.bytes < least]
    if len(small) != 1:
        return small
    others = sorted((file for file in files if least <= file.bytes <= most - 2 * least), key=lambda file: file.bytes)
    return [*small, *others[:1]]


def _merge(archive: Archive, part: str, chosen: list[File], most: int) -> int:
    total = sum(file.bytes for file in chosen)
    number = max(1, -(-total // (TARGET * most // MOST)))
    options = parquet_options("zstd", kept=True)
    tables = (table for file in chosen for table in _read(archive, file))
    merged = write_files(archive, f"events/{part}", tables, options, target=total / number, most_files=number)
    if sum(file.rows for file in merged) != sum(file.rows for file in chosen):
        raise StoreError(f"files of {part} changed while they were merged", hint="nothing was replaced; try again")

    def replaced(manifest: Manifest) -> tuple[Manifest, list[File]] | None:
        files = manifest.events.get(part, ())
        if any(file not in files for file in chosen):
            return None
        left = (*(file for file in files if file not in chosen), *merged)
        return archive.forget_replaced(replace(manifest, events={**manifest.events, part: left})), chosen

    return len(chosen) - len(merged) if archive.change(replaced) is not None else 0


def _read(archive: Archive, file: File) -> Iterator[pa.Table]:
    try:
        with archive.files.open(f"{archive.root}/{file.path}") as opened:
            found = pq.ParquetFile(opened)
            schema = stored_schema(raw=RAW in found.schema_arrow.names)
            for batch in found.iter_batches(ROW_GROUP):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None).cast(schema)
    except (pa.ArrowException, FileNotFoundError) as error:
        raise StoreError(f"{archive.url(file)} cannot be read: {error}", hint="restore it from a copy") from error
