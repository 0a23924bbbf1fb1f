"""Cassandra 5: one node, where everybody needs a password."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.jars import HERE, jars, java
from deploy.servers.server import BRIEF, Server, filled, free_ports

_HERE = HERE / "cassandra"
ADMINISTRATOR = "cassandra"
"""Name and password of the superuser of a new node."""


class Cassandra(Server):
    """A node that is a cluster of its own. `port`: where clients reach it; default: a free port."""

    name = "Cassandra"

    def __init__(self, directory: Path, *, port: int = 0, owner: int | None = None, remove: Path | None = None) -> None:
        super().__init__(directory, owner=owner, remove=remove)
        first, self._storage_port, self._jmx_port = free_ports(3)
        self.port = port or first

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        marks = {"PORT": self.port, "STORAGE_PORT": self._storage_port, "DATA": self.directory / "data"}
        self._configuration.write_text(filled(_HERE / "cassandra.yaml", marks), "utf-8")

    def command(self) -> Sequence[str]:
        lib = jars("cassandra")
        (agent,) = lib.glob("jamm-*.jar")
        given = {
            "cassandra.config": f"file://{self._configuration}",
            "cassandra.storagedir": self.directory / "data",
            "logback.configurationFile": f"file://{_HERE / 'logback.xml'}",
            "java.io.tmpdir": self.directory,
            "cassandra-foreground": "yes",
            "cassandra.jmx.local.port": self._jmx_port,
        }
        options = [f"@{_HERE / 'jvm.options'}", f"-javaagent:{agent}", *(f"-D{k}={v}" for k, v in given.items())]
        return [java(), BRIEF, *options, "-cp", f"{lib}/*", "org.apache.cassandra.service.CassandraDaemon"]

    def ready(self) -> bool:
        from cassandra import DriverException  # noqa: PLC0415 - jars are fetched before it is installed
        from cassandra.auth import PlainTextAuthProvider  # noqa: PLC0415 - as above
        from cassandra.cluster import Cluster, NoHostAvailable  # noqa: PLC0415 - as above

        logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # that it is not there yet is no news
        everybody = PlainTextAuthProvider(ADMINISTRATOR, ADMINISTRATOR)
        cluster = Cluster(["127.0.0.1"], port=self.port, auth_provider=everybody, protocol_version=5)
        try:
            return cluster.connect().execute("SELECT release_version FROM system.local").one() is not None
        except (NoHostAvailable, DriverException, OSError):
            return False
        finally:
            cluster.shutdown()

    @property
    def _configuration(self) -> Path:
        return self.directory / "cassandra.yaml"
