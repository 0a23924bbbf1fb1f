"""Kafka 3.9 on ZooKeeper, as clusters of its time are: for a test that we speak to them."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.jars import HERE, jars, java
from deploy.servers.kafka_server import Kafka
from deploy.servers.server import BRIEF, Server, filled, free_port

_NAME = "kafka39"


class ZooKeeper(Server):
    """What the brokers of that time keep their metadata in."""

    name = "ZooKeeper"

    def __init__(self, directory: Path, *, owner: int | None = None) -> None:
        super().__init__(directory, owner=owner)
        self.port = free_port()

    def prepare(self) -> None:
        marks = {"ZOOKEEPER_PORT": self.port, "DATA": self.directory / "data"}
        (self.directory / "zoo.cfg").write_text(filled(HERE / _NAME / "zoo.cfg", marks), "utf-8")

    def command(self) -> Sequence[str]:
        main = "org.apache.zookeeper.server.ZooKeeperServerMain"
        return [*_java("-Xmx128m", self.scratch), main, str(self.directory / "zoo.cfg")]

    def ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Kafka39(Kafka):
    """A broker, and the ZooKeeper that it needs."""

    name = "Kafka 3.9"

    def __init__(self, directory: Path, *, owner: int | None = None) -> None:
        super().__init__(directory, owner=owner)
        self._zookeeper = ZooKeeper(directory / "zookeeper", owner=owner)

    def start(self) -> None:
        self._zookeeper.start()
        super().start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        super().stop(how)
        self._zookeeper.stop(how)

    def prepare(self) -> None:
        marks = {"PORT": self.port, "ZOOKEEPER_PORT": self._zookeeper.port, "DATA": self.directory / "data"}
        text = filled(HERE / _NAME / "server.properties", marks)
        (self.directory / "server.properties").write_text(text, "utf-8")

    def command(self) -> Sequence[str]:
        return [*_java("-Xmx512m", self.scratch), "kafka.Kafka", str(self.directory / "server.properties")]


def _java(*given: str) -> list[str]:
    log = f"-Dlog4j.configuration=file:{HERE / _NAME / 'log4j.properties'}"
    return [java(), *given, BRIEF, log, "-cp", f"{jars(_NAME)}/*"]
