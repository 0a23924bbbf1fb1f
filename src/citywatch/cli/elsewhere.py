"""What reports are asked of beside data directories: the stores of the registry that are read for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from citywatch.cli.interruption import interruptible
from citywatch.errors import UsageError
from citywatch.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.analytics.archive import Archive, Read
    from citywatch.analytics.scans import Elsewhere
    from citywatch.stores.model import Reader

    Truth = Callable[[Settings], pa.Table]
    """Reads what was planted."""

Opened = tuple["Archive", None]


@contextmanager
def open_elsewhere(place: str, name: str, types: Sequence[str], truth: Truth) -> Iterator[Opened]:
    """What is kept at an address, for a while, to ask it the named report. Raises UsageError, StoreError."""
    from citywatch.stores import open_store

    scheme = place.partition("://")[0]
    if scheme in ONLY and (name not in ONLY[scheme] or types):
        known = f"it answers {', '.join(ONLY[scheme])}, without --type"
        raise UsageError(f"{scheme}:// holds alerts and reports of persons: {known}", hint=_WHERE)
    with connected() as con, open_store("reports", place, con) as reader:
        reader.create_view()
        yield asked_of(reader, con, truth), None


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that spills to a directory of its own."""
    import duckdb as database

    from citywatch.engine.concurrency import usable_cores

    with TemporaryDirectory(prefix="citywatch-") as spill, database.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"SET threads = {usable_cores()}")
        con.execute("SET parquet_metadata_cache = true")  # files of history and of an archive never change
        con.execute(f"SET temp_directory = '{spill}'")  # its default lies in the directory one happens to be in
        with interruptible(con):
            yield con


def asked_of(
    reader: Reader, con: duckdb.DuckDBPyConnection, truth: Truth, elsewhere: Elsewhere | None = None
) -> Archive:
    """A store as questions are asked of it."""
    from citywatch.analytics.archive import Archive

    read: dict[str, Read] = {name: partial(_whole, table) for name, table in reader.tables().items()}
    read["truth"] = lambda _: truth(Settings(**reader.settings))
    return Archive(con, reader.zone, read, elsewhere)


def _whole(table: Callable[[], pa.Table], _: Sequence[str]) -> pa.Table:
    return table()


ANSWERED = ("alerts", "mean-age", "repeat-persons", "reports-by-timeframe", "reports-by-behavior", "safety-watcher")
"""Reports that need nothing but alerts and reports of persons."""

ONLY = {"cassandra": ANSWERED}
"""Scheme of a store that has not all of the events -> the reports that it answers."""

_WHERE = "ask a data directory, or an archive on HDFS, for the others"
