"""Parquet files on HDFS, whole or not there as far as readers see."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.stores.hdfs.manifest import Archive, File

LEAST = 64 << 20
MOST = 512 << 20
"""Bytes of a file after merging: smaller ones cost the NameNode, larger ones keep one reader busy for long."""
TARGET = 256 << 20

ROW_GROUP = 122_880


def write_files(
    archive: Archive,
    directory: str,
    tables: Iterable[pa.Table],
    options: Mapping[str, Any],
    *,
    target: float = TARGET,
    most_files: int | None = None,
    mark: str = "",
) -> list[File]:
    """Files below `directory` of the archive, each of about `target` bytes, of tables of one schema; none for no rows.

    With `most_files` the last one takes what is left. They count when a manifest names them.
    """
    found: list[File] = []
    rest = (table for table in tables if len(table))
    while (first := next(rest, None)) is not None:
        last = most_files is not None and len(found) + 1 >= most_files
        limit = float("inf") if last else target
        found.append(_write(archive, directory, chain([first], rest), options, limit=limit, mark=mark))
    return found


def _write(
    archive: Archive, directory: str, tables: Iterator[pa.Table], options: Mapping[str, Any], *, limit: float, mark: str
) -> File:
    """One file of as many of the tables as it takes to reach the limit."""
    from hdfs_native import WriteOptions  # noqa: PLC0415 - an extra that few need

    name = f"{directory}/{secrets.token_hex(8)}.parquet"
    path, rows = f"{archive.root}/{name}", 0
    archive.make_directory(path)
    client = archive.hdfs.client
    sink = archive.hdfs.tried(f"make {path}", lambda: client.create(path, WriteOptions(create_parent=True)))
    try:
        with pa.PythonFile(sink, "w") as out:
            writer: pq.ParquetWriter | None = None
            for table in tables:
                writer = writer or pq.ParquetWriter(out, table.schema, **options)
                writer.write_table(table, row_group_size=ROW_GROUP)
                rows += len(table)
                if out.tell() >= limit:
                    break
            if writer is not None:
                writer.close()
            sink.hsync()
            size = out.tell()
    except (OSError, RuntimeError) as error:
        raise archive.hdfs.failed(f"write {path}", error) from error
    return File(name, rows, size, mark)
