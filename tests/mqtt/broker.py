"""A real broker of one's own, on a free port, with its memory in a directory of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from deploy.servers.server import free_port

PATIENCE_S = 60


def until(what: Callable[[], object], *, within: float = PATIENCE_S) -> None:
    """Wait until `what` holds."""
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"never came true within {within} s")
        time.sleep(0.02)


class Broker:
    """mosquitto. `options` and `listener` are further lines of its configuration; `ca` vouches for its certificate."""

    def __init__(self, directory: Path, *options: str, listener: str = "", ca: Path | None = None) -> None:
        self._ca = ca
        self.port = free_port()
        self._directory = directory
        lines = [f"listener {self.port} 127.0.0.1", *listener.splitlines(), "persistence true", *options]
        lines += [f"persistence_location {directory}/", "user root", "max_queued_messages 0"]
        if not any(line.startswith("password_file") for line in options):
            lines.append("allow_anonymous true")
        self._config = directory / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n", "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, with what it remembers, and wait until it answers."""
        command = [program("mosquitto"), "-c", str(self._config)]
        with (self._directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL it forgets what it has not written."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None

    def publish(self, topic: str, payloads: Iterable[str | bytes], *, qos: int = 1) -> None:
        """Publish, and wait until the broker has taken all."""
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        if self._ca:
            client.tls_set(str(self._ca))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        for payload in payloads:
            client.publish(topic, payload, qos=qos).wait_for_publish(PATIENCE_S)
        client.disconnect()
        client.loop_stop()

    def address(self, topic: str, *options: str, user: str = "", scheme: str = "mqtt") -> str:
        """The address of a topic at this broker."""
        query = f"?{'&'.join(options)}" if options else ""
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/{topic}{query}"

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail((self._directory / "mosquitto.log").read_text("utf-8"))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


def program(name: str) -> str:
    """Path of a program that belongs to the broker."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.fail(f"no {name}: `make broker` installs it on Debian")
    return found
