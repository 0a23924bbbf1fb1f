"""Servers that all tests of a run share, whichever worker they run in: the first to ask starts them.

They end with the run, however it ends, and what they wrote is gone then.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.servers.jars import MissingError
from deploy.servers.kafka_server import Kafka
from deploy.servers.server import Server, ServerError

_STARTED: list[Server] = []
"""What this worker has started: it is not to be forgotten before the run ends."""


def owner() -> int:
    """The process with which a run of tests ends."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def kafka() -> str:
    """`host:port` of a Kafka 4."""
    return shared("kafka", lambda directory: Kafka(directory, owner=owner(), remove=directory.parent))


def shared(name: str, make: Callable[[Path], Kafka]) -> str:
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
                server.start()
            except (MissingError, ServerError) as error:
                failed.write_text(str(error), "utf-8")
                pytest.fail(str(error), pytrace=False)
            _STARTED.append(server)
            address.write_text(server.address, "utf-8")
        return address.read_text("utf-8")
