from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from citywatch.connections.postgresql import Address, database_address
from deploy.servers.postgresql_server import Postgresql
from tests.cluster.servers import own

if TYPE_CHECKING:
    from citywatch.stores.desk.server import Desk

_numbers = iter(range(1_000_000))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with tempfile.TemporaryDirectory(prefix="citywatch-postgresql-") as home, own(Postgresql(Path(home))) as server:
        yield server


@pytest.fixture
def address(postgresql: Postgresql) -> Address:
    """A schema of its own for each test."""
    return database_address(f"postgresql://postgres@{postgresql.address}/postgres?schema=desk{next(_numbers)}")


@pytest.fixture
def desk(address: Address) -> Iterator[Desk]:
    from citywatch.stores.desk.server import Server

    with ExitStack() as stack:
        server = Server(address, most=4)
        stack.callback(server.close)
        yield stack.enter_context(server.desk())
