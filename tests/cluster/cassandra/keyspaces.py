"""A keyspace of one's own in the Cassandra of the tests, and what stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citywatch.connections.cassandra import Address, parse, session
from citywatch.errors import StoreError
from citywatch.settings import Settings
from citywatch.stores.cassandra.relay import Relay
from citywatch.stores.cassandra.tables import TABLES, keyspace_cql
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from deploy.servers.cassandra_server import ADMINISTRATOR

if TYPE_CHECKING:
    from cassandra.cluster import Session

KEY = b"k" * 32
_numbers = count()
SECRET = {"CITYWATCH_CASSANDRA_PASSWORD": ADMINISTRATOR}


@dataclass(frozen=True)
class Keyspace:
    """`session` is the administrator's."""

    session: Session
    address: Address

    @property
    def url(self) -> str:
        return self.address.name

    def rows(self, query: str) -> list[Any]:
        """Answer of a query; `{}` stands for the keyspace."""
        return list(self.session.execute(query.format(self.address.keyspace), timeout=60))

    def counts(self) -> dict[str, int]:
        """Rows of each table, counted by reading them."""
        return {
            table.name: len(self.rows(f"SELECT {table.key.strip('(').split(',')[0].strip(')')} FROM {{}}.{table.name}"))
            for table in TABLES
        }

    def fill(self, data: Path, settings: Settings | None = None, key: bytes = KEY) -> None:
        """Take over all that a data directory has; plates are hashed with `key`."""
        with (
            Desk(data / "desk.sqlite") as desk,
            Relay(self.address, History(data), desk, settings or Settings(), key) as relay,
        ):
            while relay.once():
                pass


@contextmanager
def keyspace(server: str) -> Iterator[Keyspace]:
    """A keyspace with the tables."""
    name = f"test{next(_numbers)}_{id(_numbers):x}"
    address = parse(f"cassandra://{ADMINISTRATOR}@{server}/{name}", SECRET)
    with session(address, lambda what, hint: StoreError(what, hint=hint)) as opened:
        opened.execute(keyspace_cql(name, 1))
        for table in TABLES:
            opened.execute(table.cql.replace("EXISTS ", f"EXISTS {name}.", 1), timeout=60)
        yield Keyspace(opened, address)
        opened.execute(f"DROP KEYSPACE {name}", timeout=60)
