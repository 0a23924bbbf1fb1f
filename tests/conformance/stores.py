"""How each kind of store is filled, read, and taken away from those who use it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
import pytest

from citywatch.settings import Settings
from citywatch.stores import open_store
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from citywatch.stores.model import Relay, Target
from tests.archives import published
from tests.cluster.cassandra.keyspaces import KEY, SECRET, keyspace
from tests.cluster.gate import Gate
from tests.cluster.servers import cassandra, hdfs, postgresql
from tests.unit.desk.facts import NOW

Away = Callable[[], AbstractContextManager[None]]
"""While the block lasts nobody reaches the store."""


@dataclass
class Kept(ABC):
    """A store at an address, which is empty at first."""

    address: str
    away: Away

    @abstractmethod
    def put(self, facts: pa.Table) -> None:
        """Say alerts; what is said by then is in the store when this returns."""

    @abstractmethod
    def alerts(self) -> list[dict[str, Any]]:
        """What it says of them."""


@dataclass
class OnDesk(Kept):
    """Alerts stand on a desk from the beginning."""

    def put(self, facts: pa.Table) -> None:
        with open_store("desk", self.address) as desk:
            desk.put_facts(facts, now=NOW)

    def alerts(self) -> list[dict[str, Any]]:
        with open_store("desk", self.address) as desk:
            return list(desk.alerts(now=NOW))


@dataclass
class Elsewhere(Kept):
    """Alerts come from the desk of a data directory, with its events, of which the store has those of `types`."""

    data: Path
    take_over: Callable[[], None]
    types: str = "%"

    def put(self, facts: pa.Table) -> None:
        with Desk(self.data / "desk.sqlite") as desk:
            desk.put_facts(facts, now=NOW)
        self.take_over()

    def alerts(self) -> list[dict[str, Any]]:
        with duckdb.connect() as con, open_store("reports", self.address, con) as reader:
            return [json.loads(str(line)) for line in reader.tables()["alerts"]()["line"].to_pylist()]

    def events(self, columns: str) -> list[tuple[Any, ...]]:
        """Columns of the events that it has."""
        with duckdb.connect() as con, open_store("reports", self.address, con) as reader:
            con.execute("SET TimeZone = 'UTC'")
            reader.create_view()
            return con.execute(f"SELECT {columns} FROM events ORDER BY source, id").fetchall()


@dataclass(frozen=True)
class Case:
    """A kind of store: the lines of the registry that it is about, as use and scheme, and an address that is none."""

    lines: tuple[tuple[str, str], ...]
    open: Callable[[Path, Path], AbstractContextManager[Kept]]
    wrong: str
    cluster: bool = False


@contextmanager
def _desk_in_a_file(home: Path, _: Path) -> Iterator[Kept]:
    (home / "desk").mkdir()
    yield OnDesk(f"file://{home}/desk/desk.sqlite", lambda: _in_the_way(home / "desk"))


@contextmanager
def _in_the_way(directory: Path) -> Iterator[None]:
    """A file stands where the directory was."""
    aside = directory.rename(directory.with_name("aside"))
    directory.touch()
    try:
        yield
    finally:
        directory.unlink()
        aside.rename(directory)


def _desk_on_server(scheme: str) -> Callable[[Path, Path], AbstractContextManager[Kept]]:
    @contextmanager
    def opened(_: Path, __: Path) -> Iterator[Kept]:
        with Gate(postgresql()) as gate:
            yield OnDesk(f"{scheme}://postgres@{gate.address}/postgres?schema=t{uuid4().hex}", lambda: _shut(gate))

    return opened


@contextmanager
def _shut(gate: Gate) -> Iterator[None]:
    gate.shut()
    try:
        yield
    finally:
        gate.reopen()


def _archive_in_a_directory(form: str) -> Callable[[Path, Path], AbstractContextManager[Kept]]:
    @contextmanager
    def opened(home: Path, data: Path) -> Iterator[Kept]:
        place = home / "archives"
        given = Archive(form.format(place / "city"))
        yield Elsewhere(f"file://{place}/city", lambda: _in_the_way(place), data, lambda: published(data, given))

    return opened


@contextmanager
def _archive_on_hdfs(_: Path, data: Path) -> Iterator[Kept]:
    with Gate(hdfs().removeprefix("hdfs://")) as gate, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HADOOP_USER_NAME", raising=False)  # whoever starts HDFS may do everything there
        address = f"hdfs://{gate.address}/conformance/{uuid4().hex}"
        yield Elsewhere(address, lambda: _shut(gate), data, lambda: published(data, Archive(address)))


@contextmanager
def _keyspace(_: Path, data: Path) -> Iterator[Kept]:
    with ExitStack() as stack:
        server = cassandra()
        gate = stack.enter_context(Gate(server))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv(*next(iter(SECRET.items())))
        address = stack.enter_context(keyspace(server)).url.replace(server, gate.address)
        desk = stack.enter_context(Desk(data / "desk.sqlite"))
        target: Target = open_store("relay", address)
        relay: Relay = stack.enter_context(target.relay(History(data), desk, Settings(), KEY))

        def take_over() -> None:
            while relay.once():
                pass

        yield Elsewhere(address, lambda: _shut(gate), data, take_over, "person.report")


def _lines(uses: str, scheme: str) -> tuple[tuple[str, str], ...]:
    return tuple((use, scheme) for use in uses.split())


_PORT = "postgresql://127.0.0.1:port/city"

CASES = {
    "desk in a file": Case(_lines("desk", "file"), _desk_in_a_file, "file://"),
    "desk on postgresql": Case(_lines("desk", "postgresql"), _desk_on_server("postgresql"), _PORT, cluster=True),
    "desk on postgres": Case(_lines("desk", "postgres"), _desk_on_server("postgres"), _PORT, cluster=True),
    "archive at a path": Case(_lines("archive", ""), _archive_in_a_directory("{}"), ""),
    "archive at a file url": Case(_lines("archive reports", "file"), _archive_in_a_directory("file://{}"), "file://"),
    "archive on hdfs": Case(_lines("archive reports", "hdfs"), _archive_on_hdfs, "hdfs://", cluster=True),
    "cassandra": Case(_lines("relay reports", "cassandra"), _keyspace, "cassandra://", cluster=True),
}
