"""The Kafka of the tests, and `citywatch run` on it."""

from __future__ import annotations

import pytest

from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """The Kafka that all tests share; topics are each test's own."""
    return Cluster(kafka())
