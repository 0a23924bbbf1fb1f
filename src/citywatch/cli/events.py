"""`citywatch events`: the events in history, in a form that `citywatch run` reads back."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from citywatch.cli.options import bounds, data_option, person
from citywatch.records.cloudevent import cloudevent_sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.stores.directory import DataDirectory

_ROWS = 65_536
_ORDER = ["received_at", "time", "source", "id"]
_BESIDE = ("stale", "backfill", "data", "extensions", "fingerprint")


@click.command()
@data_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv", "parquet"]),
    default="ndjson",
    show_default=True,
    help="ndjson: CloudEvents, one a line, known fields in data as understood. csv, parquet: a column for each. "
    "`run` reads all three back.",
)
@click.option("--type", "types", multiple=True, help="Only events of this type; may be given several times.")
@click.option("--from", "start", help="Only from then on: 2026-05-01, 2026-05-01T12:00, RFC 3339, 2h (ago).")
@click.option("--to", "end", help="Only before then.")
def events(*, data: Path, form: str, types: tuple[str, ...], start: str | None, end: str | None) -> None:
    """Print the events in history, in the order in which they were received."""
    import duckdb

    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

    directory = DataDirectory(data).require()
    with Desk(directory.desk) as desk:
        desk.audit(person(), "events")
    with duckdb.connect() as con, tempfile.TemporaryDirectory(prefix="citywatch-") as scratch:
        con.execute("SET TimeZone = 'UTC'")
        condition, values = _condition(directory, types, start, end)
        batches = _chosen(con, directory, condition, values, Path(scratch))
        {"ndjson": _write_ndjson, "csv": _write_csv, "parquet": _write_parquet}[form](con, batches, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _condition(
    directory: DataDirectory, types: tuple[str, ...], start: str | None, end: str | None
) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    if types:
        terms.append("list_contains(?, type)")
        values.append(list(types))
    for edge, operator in zip(bounds(start, end, directory.stored()["zone"]), (">=", "<"), strict=True):
        if edge is not None:
            terms.append(f"time {operator} make_timestamptz(CAST(? AS BIGINT))")
            values.append(edge)
    return " AND ".join(terms) or "true", values


def _chosen(
    con: duckdb.DuckDBPyConnection, directory: DataDirectory, condition: str, values: list[Any], scratch: Path
) -> Iterator[pa.Table]:
    """The chosen events with all columns, in order of receipt, however many there are."""
    import pyarrow as pa

    from citywatch.stores.history import History
    from citywatch.stores.sorter import Sorter

    relation = History(directory.path).relation_sql()
    with Sorter(scratch, _ORDER) as sorter:
        query = con.sql(f"SELECT * FROM ({relation}) WHERE {condition}", params=values)
        for batch in query.to_arrow_reader(_ROWS):
            sorter.add(pa.Table.from_batches([batch]))
        yield from sorter.batches(_ROWS)


def _write_ndjson(con: duckdb.DuckDBPyConnection, batches: Iterator[pa.Table], out: BinaryIO) -> None:
    for batch in batches:
        con.register("batch", batch)
        lines = con.sql(
            f"SELECT {cloudevent_sql(full=True, fingerprint=True)} || chr(10) AS line FROM batch"
        ).to_arrow_table()
        for chunk in lines.column("line").chunks:
            out.write(b"".join(text.encode() for text in chunk.to_pylist()))


def _write_csv(con: duckdb.DuckDBPyConnection, batches: Iterator[pa.Table], out: BinaryIO) -> None:
    from pyarrow import csv

    header = True
    for batch in batches:
        con.register("batch", batch)
        columns = ", ".join(_text_sql(name, sql) for name, sql in _columns())
        csv.write_csv(
            con.sql(f"SELECT {columns} FROM batch").to_arrow_table(), out, csv.WriteOptions(include_header=header)
        )
        header = False
    if header:
        out.write((",".join(f'"{name}"' for name, _ in _columns()) + "\n").encode())


def _text_sql(name: str, sql: str) -> str:
    if sql == "TIMESTAMPTZ":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}"
    if sql.endswith("[]"):
        return f"CAST(to_json({name}) AS VARCHAR) AS {name}"
    return f"CAST({name} AS VARCHAR) AS {name}"


def _write_parquet(con: duckdb.DuckDBPyConnection, batches: Iterator[pa.Table], out: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ", ".join(f"CAST(NULL AS {sql}) AS {name}" for name, sql in _columns())
    schema = con.sql(f"SELECT {columns} LIMIT 0").to_arrow_table().schema
    with pq.ParquetWriter(pa.PythonFile(cast(IOBase, out), "w"), schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(batch.select(schema.names).cast(schema))


def _columns() -> list[tuple[str, str]]:
    """(name, SQL type) of all columns: the known fields, then what was stored beside them."""
    from citywatch.event import COLUMNS, STORED

    stored = dict(STORED)
    return [*((column.name, column.sql) for column in COLUMNS), *((name, stored[name]) for name in _BESIDE)]
