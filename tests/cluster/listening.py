"""An engine of this process that listens to topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from citywatch.engine.embedded import Engine
from citywatch.engine.embedded.live import Listening
from citywatch.mappings.load import load_mappings, shipped
from citywatch.mappings.parse import Parser
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.sources import open_source
from citywatch.sources.kafka.source import KafkaSource
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from tests.mqtt.broker import until


@dataclass
class Heard:
    """An engine, the source it listens to, and what it said to people."""

    data: Path
    engine: Engine
    source: KafkaSource
    listening: Listening
    said: list[str]

    def wait(self, records: int, within: float = 60) -> None:
        """Wait until so many records are in the data directory."""

        def there() -> bool:
            self.listening.check()
            return len(stored(self.data)) + len(refused(self.data)) >= records

        until(there, within=within)

    def waiting(self) -> int:
        """Records of all partitions that are not committed."""
        return sum(part.waiting for part in (self.source.parts() or {}).values())


@contextmanager
def listening(data: Path, address: str, *, connected: bool = True) -> Iterator[Heard]:
    """An engine on a data directory that listens to an address alone until the block ends; waits for a connection."""
    (source,) = open_source(address)
    assert isinstance(source, KafkaSource)
    parser, own = Parser(Settings(), load_mappings([shipped()])), Parser(Settings())
    said: list[str] = []
    with Engine(data, Ruleset(()), Settings()) as engine:
        engine.go_live(own.parse, misses=False)
        heard = engine.listen([(source, parser.parse)], said.append)

        def begun() -> bool:
            heard.check()
            return source.trouble is None or not connected

        until(begun)
        try:
            yield Heard(data, engine, source, heard, said)
        finally:
            heard.stop()
        heard.check()


def stored(data: Path, columns: str = "id") -> list[tuple[object, ...]]:
    """Columns of all events in a data directory, in the order of intake."""
    if not (data / "log").exists():
        return []
    with duckdb.connect() as con:
        return con.execute(f"SELECT {columns} FROM ({History(data).relation_sql()}) ORDER BY seq").fetchall()


def refused(data: Path) -> list[tuple[object, object, object]]:
    """(source, line, reason) of what a data directory has refused."""
    with Desk(data / "desk.sqlite") as desk:
        return sorted((row["source"], row["line"], row["reason"]) for row in desk.rejected())
