"""HDFS: a NameNode and a DataNode."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.servers.jars import HERE, jars, java
from deploy.servers.server import BRIEF, START_S, Server, ServerError, filled, free_ports

_HERE = HERE / "hdfs"
_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", BRIEF, "-Djava.net.preferIPv4Stack=true"]
_CLASSES = "org.apache.hadoop.hdfs.server"


class _Node(Server):
    """One of the two. The configuration of both is in `conf` of the directory above theirs."""

    program = ""

    def __init__(self, directory: Path, http_port: int, *, owner: int | None, remove: Path | None) -> None:
        super().__init__(directory, owner=owner, remove=remove)
        self._http_port = http_port

    def prepare(self) -> None:
        return

    def command(self) -> Sequence[str]:
        return [*self.java(), f"{_CLASSES}.{self.program}"]

    def ready(self) -> bool:
        return self.bean("java.lang:type=Runtime") is not None

    def java(self) -> list[str]:
        home = self.directory.parent
        given = [f"-Dhadoop.home.dir={home}", f"-Dhadoop.log.dir={self.directory}", self.scratch]
        return [java(), *_JAVA, *given, "-cp", f"{home / 'conf'}:{home}:{jars('hdfs')}/*"]

    def bean(self, name: str) -> dict[str, Any] | None:
        """What the node says about a part of itself; None when it does not answer."""
        url = f"http://127.0.0.1:{self._http_port}/jmx?qry={name}"
        with suppress(OSError, ValueError, LookupError), urllib.request.urlopen(url, timeout=2) as answer:
            found: dict[str, Any] = json.load(answer)["beans"][0]
            return found
        return None


class NameNode(_Node):
    name, program = "HDFS NameNode", "namenode.NameNode"

    def prepare(self) -> None:
        if (self.directory.parent / "data" / "namenode").exists():
            return
        made = [*self.command(), "-format", "-nonInteractive", "-force"]
        done = subprocess.run(made, capture_output=True, text=True, check=False, timeout=120, cwd=self.directory)
        if done.returncode:
            raise ServerError(f"HDFS could not be formatted: {done.stdout}{done.stderr}")


class DataNode(_Node):
    name, program = "HDFS DataNode", "datanode.DataNode"


class Hdfs:
    """A cluster of one NameNode and one DataNode; a context manager.

    Parameters
    ----------
    directory
        Where data, configuration and logs go. What is there already is used again.
    port
        Where clients reach the NameNode; default: a free port.
    """

    def __init__(self, directory: Path, *, port: int = 0, owner: int | None = None, remove: Path | None = None) -> None:
        first, http, data, ipc, data_http = free_ports(5)
        self.port = port or first
        self.directory = directory
        self._marks = {"PORT": self.port, "HTTP_PORT": http, "DATA_PORT": data, "IPC_PORT": ipc}
        self._marks |= {"DATA_HTTP_PORT": data_http}
        self.namenode = NameNode(directory / "namenode", http, owner=owner, remove=remove)
        self.datanode = DataNode(directory / "datanode", data_http, owner=owner, remove=remove)

    @property
    def address(self) -> str:
        """`hdfs://host:port` for clients."""
        return f"hdfs://127.0.0.1:{self.port}"

    def __enter__(self) -> Hdfs:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start both and wait until files can be written. Raises ServerError, MissingError."""
        conf = self.directory / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        for site in ("core-site.xml", "hdfs-site.xml"):
            text = filled(_HERE / site, {**self._marks, "DATA": self.directory / "data"})
            (conf / site).write_text(text, "utf-8")
        (conf / "log4j.properties").write_bytes((_HERE / "log4j.properties").read_bytes())
        for page in ("hdfs", "datanode", "static"):  # the NameNode wants its pages to be there
            (self.directory / "webapps" / page).mkdir(parents=True, exist_ok=True)
        try:
            self.namenode.start()
            self.datanode.launch()
            self.wait()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def wait(self, nodes: int = 1) -> None:
        """Wait until so many DataNodes are alive. Raises ServerError."""
        deadline = time.monotonic() + START_S
        while (state := self.state()) is None or state["NumLiveDataNodes"] < nodes or state["FSState"] != "Operational":
            if time.monotonic() > deadline:
                raise ServerError(f"HDFS is not ready:\n{self.namenode.said()}\n{self.datanode.said()}")
            time.sleep(0.1)

    def state(self) -> dict[str, Any] | None:
        """What the NameNode says of the whole; None when it does not answer."""
        return self.namenode.bean("Hadoop:service=NameNode,name=FSNamesystemState")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End both."""
        self.datanode.stop(how)
        self.namenode.stop(how)
