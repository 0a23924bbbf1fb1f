from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from citywatch.connections.postgresql import Address, database_address
from tests.cluster.servers import postgresql

if TYPE_CHECKING:
    from citywatch.stores.desk.server import Desk


@pytest.fixture
def address() -> Address:
    """A schema of its own for each test."""
    return database_address(f"postgresql://postgres@{postgresql()}/postgres?schema=desk{uuid4().hex}")


@pytest.fixture
def desk(address: Address) -> Iterator[Desk]:
    from citywatch.stores.desk.server import Server

    with ExitStack() as stack:
        server = Server(address, most=4)
        stack.callback(server.close)
        yield stack.enter_context(server.desk())
