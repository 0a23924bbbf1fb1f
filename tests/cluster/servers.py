"""Servers that all tests of a run share, whichever worker they run in: the first to ask starts them.

They end with the run, however it ends, and what they wrote is gone then.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from deploy.servers.cassandra_server import Cassandra
from deploy.servers.hdfs_server import Hdfs
from deploy.servers.jars import MissingError
from deploy.servers.kafka_server import Kafka
from deploy.servers.postgresql_server import Postgresql
from deploy.servers.server import Server, ServerError

AnyServer = TypeVar("AnyServer", bound=Server)

_STARTED: list[Addressed] = []
"""What this worker has started: it is not to be forgotten before the run ends."""

STARTS: list[tuple[str, float]] = []
"""What this worker has started, and how long (s) it took until it answered; `lane` says it at the end of the run."""


def owner() -> int:
    """The process with which a run of tests ends."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def kafka() -> str:
    """`host:port` of a Kafka 4."""
    return shared("Kafka", lambda directory: Kafka(directory, owner=owner(), remove=directory.parent))


def cassandra() -> str:
    """`host:port` of a Cassandra 5, whose administrator is `ADMINISTRATOR`."""
    return shared("Cassandra", lambda directory: Cassandra(directory, owner=owner(), remove=directory.parent))


def hdfs() -> str:
    """`hdfs://host:port` of an HDFS of one NameNode and one DataNode."""
    return shared("HDFS", lambda directory: Hdfs(directory, owner=owner(), remove=directory.parent))


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Note how long a server takes to start."""
    began = time.monotonic()
    yield
    STARTS.append((name, time.monotonic() - began))


@contextmanager
def own(server: AnyServer) -> Iterator[AnyServer]:
    """A server that runs as long as the block."""
    try:
        with timed(server.name):
            server.start()
        yield server
    finally:
        server.stop()


def postgresql() -> str:
    """`host:port` of a PostgreSQL, whose superuser is `postgres`."""
    return shared("postgresql", lambda directory: Postgresql(directory, owner=owner(), remove=directory.parent))


class Addressed(Protocol):
    """A server, or several that are one to those who use them."""

    @property
    def address(self) -> str:
        """Where it is."""

    def start(self) -> None:
        """Start it and wait until it answers."""


def shared(name: str, make: Callable[[Path], Addressed]) -> str:
    """The address of a server of this run; fails the test, and says how to get what is missing."""
    place = Path(tempfile.gettempdir()) / f"citywatch-tests-{owner()}-{name}"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address, failed = place / "address", place / "failed"
        if failed.exists():
            pytest.fail(failed.read_text("utf-8"), pytrace=False)
        if not address.exists():
            server = make(place / "server")
            try:
                with timed(name):
                    server.start()
            except (MissingError, ServerError) as error:
                failed.write_text(str(error), "utf-8")
                pytest.fail(str(error), pytrace=False)
            _STARTED.append(server)
            address.write_text(server.address, "utf-8")
        return address.read_text("utf-8")
