from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cassandra.keyspaces import Keyspace, keyspace
from tests.cluster.city import city_in
from tests.cluster.servers import cassandra


@pytest.fixture
def store() -> Iterator[Keyspace]:
    """A keyspace of each test's own."""
    with keyspace(cassandra()) as made:
        yield made


@pytest.fixture(scope="session")
def kept(city: Path) -> Iterator[Keyspace]:
    """A keyspace that holds that minute; for tests that only look at it."""
    with keyspace(cassandra()) as made:
        made.fill(city)
        yield made


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a minute of a city."""
    return city_in(tmp_path_factory.mktemp("city") / "data")
