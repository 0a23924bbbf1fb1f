"""Statements over rows that are others with every batch, planned once: planning costs more than a few rows do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

_PART = 8192


def in_parts(batch: pa.Table) -> pa.Table:
    """The batch in parts that DuckDB scans at the same time; copies nothing."""
    return pa.Table.from_batches(batch.to_batches(max_chunksize=_PART), schema=batch.schema)


class Feed:
    """A table that a prepared statement reads, and that is another one each time. A registered table would be bound."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        table: Any = self.table
        return table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self.table.schema.__arrow_c_schema__()


class Planned:
    """A statement about the relation `<name>_rows`, planned when it is needed for the first time.

    A copy is the thing itself: what was planned belongs to the connection, which copies share, too.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, sql: str) -> None:
        self._con = con
        self._name = name
        self._sql = sql
        self._feed = Feed(schema.empty_table())
        self._planned = False
        con.register(f"{name}_rows", self._feed)

    def __deepcopy__(self, _: object) -> Planned:
        return self

    def ask(self, rows: pa.Table) -> pa.Table:
        """The answer for these rows, which have the schema."""
        with self._about(rows) as execute:
            answer: pa.Table = self._con.sql(execute).to_arrow_table()
        return answer

    def write(self, rows: pa.Table) -> None:
        """Execute it for these rows, which have the schema."""
        with self._about(rows) as execute:
            self._con.execute(execute)

    @contextmanager
    def _about(self, rows: pa.Table) -> Iterator[str]:
        self._feed.table = in_parts(rows)
        if not self._planned:
            self._con.execute(f"PREPARE {self._name} AS {self._sql}")
            self._planned = True
        try:
            yield f"EXECUTE {self._name}"
        finally:
            self._feed.table = rows.schema.empty_table()
