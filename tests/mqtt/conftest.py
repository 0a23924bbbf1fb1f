"""A broker for each test that asks for one, and an engine that listens to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from citywatch.engine.embedded import Engine
from citywatch.mappings.load import load_mappings, shipped
from citywatch.mappings.parse import Parser
from citywatch.records.columns import listed
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.sources import open_source
from citywatch.sources.mqtt.source import MqttSource
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from tests.mqtt.broker import Broker, until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that anybody may use."""
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as running:
        yield running


def opened(address: str) -> MqttSource:
    """The source behind an address."""
    (source,) = open_source(address)
    assert isinstance(source, MqttSource)
    return source


@contextmanager
def listening(data: Path, address: str) -> Iterator[MqttSource]:
    """An engine on a data directory that listens to a broker until the block ends."""
    source = opened(address)
    parser = Parser(Settings(), load_mappings([shipped()]))
    with Engine(data, Ruleset(()), Settings()) as host:
        heard = host.listen([(source, parser.parse)])
        until(lambda: source.trouble is None)
        yield source
        heard.stop()
        heard.check()


def stored(data: Path, columns: str = "id") -> list[tuple[object, ...]]:
    """Columns of all events in a data directory, in the order of intake."""
    relation = History(data).relation_sql()
    with duckdb.connect() as con:
        return con.execute(f"SELECT {columns} FROM ({relation}) ORDER BY seq").fetchall()


def ids(data: Path) -> list[object]:
    """Ids of all events in a data directory."""
    return [row[0] for row in stored(data)] if (data / "log").exists() else []


def refused(data: Path) -> list[tuple[object, object]]:
    """(reason, raw) of what a data directory has refused."""
    with Desk(data / "desk.sqlite") as desk:
        return [(row["reason"], row["raw"]) for row in desk.rejected()]


class Reader:
    """Reads a source by itself, chunk by chunk, and says nothing to the broker unless it is told to."""

    def __init__(self, address: str) -> None:
        self.source = opened(address)
        self.payloads: list[bytes] = []
        self.chunks = 0
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, what: Callable[[], object] | None = None) -> None:
        """Wait for something, or until the source can be heard; fails with what ended the source."""
        until(lambda: self.error or (what() if what else self.source.trouble is None))
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Leave the broker."""
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        try:
            for chunk in self.source.chunks():
                self.payloads += listed(chunk.records["raw"])
                self.chunks += 1
        except BaseException as error:
            self.error = error
