"""What reports are asked of beside data directories: an archive on HDFS or in a directory, a keyspace of Cassandra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from citywatch.errors import UsageError
from citywatch.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.analytics.archive import Archive
    from citywatch.analytics.scans import Elsewhere
    from citywatch.stores.archive.reading import Reader

    Truth = Callable[[Settings], pa.Table]
    """Reads what was planted."""

Opened = tuple["Archive", None]


@contextmanager
def open_elsewhere(place: str, name: str, types: Sequence[str], truth: Truth) -> Iterator[Opened]:
    """What is kept at an address, for a while, to ask it the named report. Raises UsageError, StoreError."""
    if place.startswith("cassandra://") and (name not in ANSWERED or types):
        known = f"it answers {', '.join(ANSWERED)}, without --type"
        raise UsageError(f"Cassandra holds alerts and reports of persons: {known}", hint=_WHERE)

    kind = {"hdfs": _in_archive, "file": _in_archive, "cassandra": _in_cassandra}.get(place.partition("://")[0])
    if kind is None:
        raise UsageError(f"--data {place} is no archive", hint="write a directory, hdfs://…, file://… or cassandra://…")
    with connected() as con, kind(place, con, truth) as archive:
        yield archive, None


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
        yield con


@contextmanager
def _in_archive(place: str, con: duckdb.DuckDBPyConnection, truth: Truth) -> Iterator[Archive]:
    from citywatch.stores.archive import manifest
    from citywatch.stores.archive.reading import Reader

    reader = Reader(manifest.Archive(place), con)
    reader.create_view()
    yield asked_of(reader, con, truth)


def asked_of(
    reader: Reader, con: duckdb.DuckDBPyConnection, truth: Truth, elsewhere: Elsewhere | None = None
) -> Archive:
    """An archive as questions are asked of it."""
    from citywatch.analytics.archive import Archive

    read = {
        "alerts": lambda _: reader.alerts(),
        "rejected": lambda _: reader.rejected(),
        "population": lambda _: reader.population(),
        "truth": lambda _: truth(Settings(**reader.manifest.settings)),
    }
    return Archive(con, reader.zone, read, elsewhere)


@contextmanager
def _in_cassandra(place: str, con: duckdb.DuckDBPyConnection, _: object) -> Iterator[Archive]:
    from citywatch.analytics.archive import Archive
    from citywatch.connections.cassandra import parse
    from citywatch.stores.cassandra.reading import reader

    with reader(parse(place)) as found:
        zone = found.zone()
        found.create_events(con, zone)
        yield Archive(con, zone, {"alerts": lambda _: found.alerts()})


ANSWERED = ("alerts", "mean-age", "repeat-persons", "reports-by-timeframe", "reports-by-behavior", "safety-watcher")
"""Reports that need nothing but alerts and reports of persons."""

_WHERE = "ask a data directory, or an archive on HDFS, for the others"
