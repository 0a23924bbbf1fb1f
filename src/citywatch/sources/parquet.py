"""Parquet as records: each row is a JSON object; its line is its number in the file.

Of a file that `citywatch events` wrote the objects are the events again, as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from citywatch.errors import SourceError
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.records.cloudevent import EXPORTED, cloudevent_sql
from citywatch.records.ordinals import Ordinals

ROWS = 32_768
"""Rows of a chunk."""


def parquet_chunks(content: Path | IO[Any], origin: Origin) -> Iterator[Chunk]:
    """Rows of a file, named or open, in order, times as RFC 3339. Raises SourceError when it is damaged."""
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone = 'UTC'")
    line, reading = 1, Ordinals()
    try:
        with parquet.ParquetFile(content) as file:
            for batch in file.iter_batches(ROWS):
                records = _records(con, pa.table(batch), line)
                yield Chunk(origin, Format.JSON, records, reading=reading)
                line += len(batch)
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        raise SourceError(f"{origin.name} cannot be read as Parquet: {error}", hint="copy it again") from error
    finally:
        con.close()


def _records(con: duckdb.DuckDBPyConnection, batch: pa.Table, line: int) -> pa.Table:
    con.register("batch", batch)
    pairs = ", ".join(f"'{name.replace(chr(39), chr(39) * 2)}': {_sql(batch, name)}" for name in batch.column_names)
    sql = f"CAST(to_json({{{pairs}}}) AS VARCHAR)"
    if set(batch.column_names) >= EXPORTED:
        sql = f"coalesce({cloudevent_sql(fingerprint=True)}, {sql})"
    answer = con.sql(f"SELECT {sql} AS raw FROM batch").to_arrow_table()
    con.unregister("batch")
    raw = answer["raw"].cast(pa.binary())
    return pa.table([pa.array(np.arange(line, line + batch.num_rows)), raw], schema=records_schema())


def _sql(batch: pa.Table, name: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    kind = batch.schema.field(name).type
    if not pa.types.is_timestamp(kind):
        return quoted
    at = f"timezone('UTC', {quoted})" if kind.tz else quoted
    zone = "Z" if kind.tz else ""
    return f"strftime({at}, '%Y-%m-%dT%H:%M:%S.%f{zone}')"
