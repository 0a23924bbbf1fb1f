"""What all servers have in common: a process in a session of its own, ports on loopback, a directory for its data."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from deploy.servers import watch

_UNGIVEN = range(10_000, 32_000)
START_S = 120
STOP_S = 30

BRIEF = "-XX:TieredStopAtLevel=1"
"""For Java: compile quickly rather than well. A server that lives for minutes needs half as much of the processor."""


class ServerError(Exception):
    """A server did not start; says what it said last."""


class Server(ABC):
    """A server; a context manager.

    Parameters
    ----------
    directory
        Where its data, configuration and log go. What is there already is used again.
    owner
        Process with which the server ends; default: this one.
    remove
        Directory that is removed when it ends because its owner did.
    """

    name: str

    def __init__(self, directory: Path, *, owner: int | None = None, remove: Path | None = None) -> None:
        self.directory = directory
        self.log = directory / "log"
        self._owner = owner or os.getpid()
        self._remove = remove
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the session that it runs in; 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def scratch(self) -> str:
        """For Java: what it writes besides goes into the directory, too."""
        return f"-Djava.io.tmpdir={self.directory}"

    @abstractmethod
    def prepare(self) -> None:
        """Write its configuration, and make its data where there is none."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What is run."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerError, MissingError."""
        self.launch()
        try:
            self.wait()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def launch(self) -> None:
        """Start it without waiting. Raises MissingError."""
        self.prepare()
        guarded = [sys.executable, watch.__file__, str(self._owner), str(self._remove or ""), *self.command()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                guarded, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )

    def wait(self, within: float = START_S) -> None:
        """Wait until it answers. Raises ServerError."""
        deadline = time.monotonic() + within
        while not self.ready():
            if self._process is None or self._process.poll() is not None:
                raise ServerError(f"{self.name} ended while it started:\n{self.said()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not answer after {within:.0f} s:\n{self.said()}")
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; what does not end in time is killed."""
        if self._process is not None:
            end_session(self._process, how)
            self._process = None

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""


def end_session(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Signal all processes of a session, and wait for the first of them."""
    try:
        os.killpg(process.pid, how)
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)
    except ProcessLookupError:
        process.wait(STOP_S)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; different ones.

    The system gives none of them to connections: one of those might have it before who asked here.
    """
    found: list[int] = []
    for port in random.sample(_UNGIVEN, len(_UNGIVEN)):
        if len(found) == count:
            break
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    return found


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def filled(template: Path, marks: Mapping[str, object]) -> str:
    """A configuration with `@MARK@` replaced."""
    text = template.read_text("utf-8")
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", str(value))
    return text
