"""A real `citywatch up` in a process of its own, and what is asked of it over HTTP and by commands."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))
PATIENCE = 90.0
LINES = "application/x-ndjson"


@dataclass
class Running:
    """A `citywatch up` whose port is known once it takes events in; `rules` beside its data are empty unless made."""

    data: Path
    program: Sequence[str] = (CITYWATCH,)
    rules: Path | None = None
    said: list[str] = field(default_factory=list)
    port: int = 0

    def start(self) -> None:
        (self.data / "door.json").unlink(missing_ok=True)
        rules = self.rules or self.data.parent / "rules"
        rules.mkdir(exist_ok=True)
        command = [*self.program, "up", "--data", str(self.data), "--rules", str(rules), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self.said.extend, args=[self.process.stderr], daemon=True)
        told = len(self.said)
        self._reader.start()
        end = time.monotonic() + PATIENCE
        while not ((ports := self._ports(told)) and (self.data / "door.json").exists()):
            assert self.process.poll() is None, "".join(self.said)
            assert time.monotonic() < end, "".join(self.said)
            time.sleep(0.02)
        self.port = ports[0]

    def _ports(self, told: int) -> list[int]:
        return [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/", "".join(self.said[told:]))]

    def kill(self) -> None:
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        """As somebody who wants it to end well, unless it has ended already."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._gone()

    def _gone(self) -> None:
        self.process.wait(30)
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: str | bytes, media: str = LINES, path: str = "/api/v1/events", **said: str) -> tuple[int, Any]:
        status, _, answer = self.answered(body, media, path, **said)
        return status, answer

    def answered(
        self, body: str | bytes, media: str = LINES, path: str = "/api/v1/events", **said: str
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """Status, headers and content of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": media, **{name.replace("_", "-"): value for name, value in said.items()}}
        content = body.encode() if isinstance(body, str) else body
        try:
            connection.request("POST", path, content, headers)
            response = connection.getresponse()
            return response.status, response.headers, json.loads(response.read())
        finally:
            connection.close()

    def events(self) -> list[dict[str, Any]]:
        """Those that were sent; a machine that takes ten seconds to start again says so in one of its own."""
        return [event for event in stored(self.data) if event["source"] != "citywatch/engine"]


def citywatch(*words: str, data: Path) -> list[str]:
    """The lines that the command prints."""
    done = subprocess.run([CITYWATCH, *words, "--data", data], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def stored(data: Path) -> list[dict[str, Any]]:
    """The events of a data directory."""
    return [json.loads(line) for line in citywatch("events", "--format", "ndjson", data=data)]


def counts(data: Path) -> dict[str, int]:
    from citywatch.stores.desk import Desk

    with Desk(data / "desk.sqlite", create=False) as desk:
        found: dict[str, int] = desk.status()["engine"]["counts"]
    return found
