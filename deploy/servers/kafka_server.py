"""Kafka 4 (KRaft): one node that is broker and controller."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.jars import HERE, jars, java
from deploy.servers.server import BRIEF, Server, ServerError, filled, free_ports

_HEAP = ["-Xms128m", "-Xmx512m", "-XX:+UseG1GC", BRIEF, "-Djava.awt.headless=true"]
_CLUSTER = "citywatch-tests--00000"
"""Kafka wants 16 bytes in base64; any will do for a cluster of one."""


class Kafka(Server):
    """A broker.

    Parameters
    ----------
    port
        Where clients reach it; default: a free port.
    properties
        Further lines of its configuration; later lines win.
    """

    name = "Kafka"

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        properties: Sequence[str] = (),
        owner: int | None = None,
        remove: Path | None = None,
    ) -> None:
        super().__init__(directory, owner=owner, remove=remove)
        first, self.controller_port = free_ports(2)
        self.port = port or first
        self.properties = properties

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        data = self.directory / "data"
        marks = {"PORT": self.port, "CONTROLLER_PORT": self.controller_port, "DATA": data}
        lines = [filled(HERE / "kafka" / "server.properties", marks), *self.properties, ""]
        self._configuration.write_text("\n".join(lines), "utf-8")
        if not (data / "meta.properties").exists():
            tool = [*self.java(), "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._configuration)]
            done = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=120)
            if done.returncode:
                raise ServerError(f"Kafka's storage could not be made: {done.stdout}{done.stderr}")

    def command(self) -> Sequence[str]:
        return [*self.java(), "kafka.Kafka", str(self._configuration)]

    def ready(self) -> bool:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - jars are fetched before it is installed
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - as above

        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    def java(self) -> list[str]:
        """How Java is called for a program of Kafka's."""
        log = HERE / "kafka" / "log4j2.properties"
        return [java(), *_HEAP, self.scratch, f"-Dlog4j2.configurationFile={log}", "-cp", f"{jars('kafka')}/*"]
