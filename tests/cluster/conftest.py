"""The Kafka of the tests, and `citywatch run` on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.cluster.servers import kafka
from tests.cluster.spark.running import started
from tests.cluster.topics import Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def cluster() -> Cluster:
    """The Kafka that all tests share; topics are each test's own."""
    return Cluster(kafka())


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark application for all tests of a worker that need none of their own: two cores in this process."""
    session = started()
    yield session
    session.stop()
