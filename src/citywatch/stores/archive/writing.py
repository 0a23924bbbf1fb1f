"""Parquet files of an archive, whole or not there as far as readers see."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from io import IOBase
from itertools import chain
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.event import batch_schema
from citywatch.stores.archive.manifest import Archive, File

LEAST = 64 << 20
MOST = 512 << 20
"""Bytes of a file after merging: smaller ones cost the NameNode, larger ones keep one reader busy for long."""
TARGET = 256 << 20

ROW_GROUP = 122_880

RAW = "raw"
"""Column of an event's record as it came, which jobs on Spark keep beside the stored columns."""


def stored_schema(*, raw: bool) -> pa.Schema:
    """Arrow schema of events in an archive."""
    return batch_schema().append(pa.field(RAW, pa.binary())) if raw else batch_schema()


def write_files(
    archive: Archive,
    directory: str,
    tables: Iterable[pa.Table],
    options: Mapping[str, Any],
    *,
    target: float = TARGET,
    mark: str = "",
) -> list[File]:
    """Files below `directory` of the archive, each of about `target` bytes, of tables of one schema; none for no rows.

    They count when a manifest names them, which waits until they are on the disks (`Archive.settle`).
    """
    found: list[File] = []
    rest = (table for table in tables if len(table))
    while (first := next(rest, None)) is not None:
        found.append(_write(archive, directory, chain([first], rest), options, limit=target, mark=mark))
    return found


def _write(
    archive: Archive, directory: str, tables: Iterator[pa.Table], options: Mapping[str, Any], *, limit: float, mark: str
) -> File:
    """One file of as many of the tables as it takes to reach the limit."""
    name = f"{directory}/{secrets.token_hex(8)}.parquet"
    sink, rows = archive.files.create(f"{archive.root}/{name}"), 0
    out = pa.PythonFile(cast(IOBase, sink), "w")
    writer: pq.ParquetWriter | None = None
    for table in tables:
        writer = writer or pq.ParquetWriter(out, table.schema, **options)
        writer.write_table(table, row_group_size=ROW_GROUP)
        rows += len(table)
        if sink.tell() >= limit:
            break
    if writer is not None:
        writer.close()
    size = sink.tell()
    archive.close_soon(sink)
    return File(name, rows, size, mark)
