"""An archive as reports read it, through DuckDB."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv

from citywatch.errors import ReportError, StoreError
from citywatch.event import STORED, derived_sql
from citywatch.stores.archive.manifest import Archive, File, Manifest


class Reader:
    """The archive as it is when this is made; `con` reads it from then on.

    Raises StoreError where there is none, or a file cannot be read.
    """

    def __init__(self, archive: Archive, con: duckdb.DuckDBPyConnection) -> None:
        self._archive, self._con = archive, con
        self.manifest: Manifest = archive.require()
        archive.files.attach(con)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the data directory that belong to it."""
        return self.manifest.settings

    @property
    def zone(self) -> str:
        """The city's time zone."""
        return str(self.settings["zone"])

    def create_view(self, name: str = "events") -> None:
        """Make the view `name`: every event of the archive, with all stored and derived columns."""
        create_view(self._con, self._archive, self.events(), self.zone, name)

    def tables(self) -> Mapping[str, Callable[[], pa.Table]]:
        """What reads the rest of it."""
        return {"alerts": self.alerts, "rejected": self.rejected, "population": self.population}

    def events(self) -> list[File]:
        """The files of all events."""
        return _all(self.manifest.events)

    def alerts(self) -> pa.Table:
        """Column `line`: the alerts as the contract writes them, in JSON."""
        return self._table("line", _all(self.manifest.alerts), "line VARCHAR")

    def rejected(self) -> pa.Table:
        """source, reason, received_at of the records that nobody has replayed."""
        files = _all(self.manifest.rejected)
        wanted = "source, reason, last_seen AS received_at"
        columns = "source VARCHAR, reason VARCHAR, last_seen TIMESTAMPTZ, replayed BOOLEAN"
        return self._table(wanted, files, columns, "WHERE NOT replayed")

    def population(self) -> pa.Table:
        """The inhabitants of each ZIP code, as `population.csv` of the data directory has them."""
        types: dict[str, pa.DataType] = {"zip": pa.string(), "population": pa.int64()}
        schema = pa.schema(types)
        text = self.manifest.population
        if text is None:
            return schema.empty_table()
        try:
            options = csv.ConvertOptions(column_types=schema, include_columns=schema.names)
            return csv.read_csv(io.BytesIO(text.encode()), convert_options=options)
        except pa.ArrowException as error:
            raise ReportError(
                f"population.csv cannot be read: {error}", hint="its columns are zip,population"
            ) from error

    def _table(self, wanted: str, files: list[File], columns: str, where: str = "") -> pa.Table:
        names = [column.split() for column in columns.split(", ")]
        empty = ", ".join(f"CAST(NULL AS {sql}) AS {name}" for name, sql in names)
        relation = scan(self._archive, files) if files else f"(SELECT {empty} WHERE false)"
        with _explained(self._archive.address):
            answer: Any = self._con.sql(f"SELECT {wanted} FROM {relation} {where}").to_arrow_table()
        table: pa.Table = answer
        return table


@contextmanager
def open_reader(address: str, con: duckdb.DuckDBPyConnection) -> Iterator[Reader]:
    """The archive at an address. Raises UsageError, and StoreError, also where its files go away while it is asked."""
    with _explained(address):
        yield Reader(Archive(address), con)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Raise what DuckDB says of files that it cannot read as StoreError; what is wrong with a question stays."""
    try:
        yield
    except duckdb.Error as error:
        if not isinstance(error, duckdb.IOException) and type(error) is not duckdb.Error:  # the latter: from HDFS
            raise
        said = str(error).strip().splitlines()[-1]  # behind a stack, where it comes from HDFS
        raise StoreError(
            f"{address} cannot be read: {said}", hint="is all of it there? Ask again when it is"
        ) from error


def create_view(
    con: duckdb.DuckDBPyConnection, archive: Archive, files: Sequence[File], zone: str, name: str = "events"
) -> None:
    """Make the view `name` of the events in some files of an archive that is attached to `con`."""
    stored = ", ".join(f'"{column}"' for column, _ in STORED)
    derived = ", ".join(f"{sql} AS {column}" for column, sql in derived_sql(zone).items())
    empty = ", ".join(f'CAST(NULL AS {sql}) AS "{column}"' for column, sql in STORED)
    relation = scan(archive, files) if files else f"(SELECT {empty} WHERE false)"
    con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {stored}, {derived} FROM {relation}")


def scan(archive: Archive, files: Sequence[File]) -> str:
    """SQL of a relation with the rows of some files."""
    listed = ", ".join("'" + archive.url(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _all(parts: Mapping[str, tuple[File, ...]]) -> list[File]:
    return [file for files in parts.values() for file in files]
