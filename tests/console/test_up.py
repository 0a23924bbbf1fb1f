"""`citywatch up` as a whole: files and a live city in, alarms out, a page, and a clean end."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

LINK = re.compile(r"http://127\.0\.0\.1:(\d+)(/sign-in/\S+)")

PATIENCE = 90.0

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))

RULE = """
title: Any reading at all
id: 3f3e0c1c-6a7e-4f8e-9f0a-6f1a2b3c4d5e
name: any_reading
status: stable
level: high
logsource: {category: sensor.reading}
runbook: Look at it.
tests:
  - {name: one, events: [{at: 0s, type: sensor.reading, value: 1}], expect: [{at: 0s}]}
  - {name: none, events: [{at: 0s, type: camera.event}], expect: []}
"""


@dataclass
class Up:
    """A running `citywatch up`, and what it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for stream, into in ((self.process.stderr, self.said), (self.process.stdout, self.printed)):
            assert stream is not None
            reader = threading.Thread(target=into.extend, args=[stream], daemon=True)
            reader.start()
            self.readers.append(reader)

    def address(self) -> tuple[int, str]:
        """Port and path of the first link."""
        found = LINK.search(wait_for(lambda: next(filter(LINK.search, self.said), None), self))
        assert found is not None
        return int(found[1]), found[2]

    def stop(self, number: int = signal.SIGINT) -> None:
        """As somebody who wants it to end well."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr, self.process.stdin):
            if stream is not None:
                stream.close()


def wait_for(found: object, up: Up) -> str:
    end = time.monotonic() + PATIENCE
    while not (value := found()):  # type: ignore[operator]  # whatever it is that is looked for
        assert up.process.poll() is None, "".join(up.said)
        assert time.monotonic() < end, "".join([*up.said, *up.printed])
        time.sleep(0.05)
    return str(value)


class Starter:
    """Starts `citywatch up` in a directory of its own; ends all it started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.started: list[Up] = []
        (directory / "rules").mkdir()
        (directory / "rules" / "any_reading.yaml").write_text(RULE)

    def __call__(self, *words: str, data: Path | None = None) -> Up:
        command = [CITYWATCH, "up", *words, "--port", "0"]
        if "--demo" not in words:
            command += ["--data", str(data or self.data), "--rules", str(self.directory / "rules")]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.directory / "cache")}
        up = Up(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=self.directory,
            )
        )
        self.started.append(up)
        return up


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for up in starter.started:
        up.end()


def reading(number: int) -> str:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    data = {"value": number, "address": f"{number} W 91st St"}
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "s",
        "type": "sensor.reading",
        "time": now,
        "data": data,
    }
    return json.dumps(event) + "\n"


def page(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def test_what_comes_in_is_an_alarm_in_the_terminal_and_a_line_on_the_page(start: Starter) -> None:
    (start.directory / "one.ndjson").write_text(reading(1))
    up = start("one.ndjson", "-")
    assert up.process.stdin is not None
    wait_for(lambda: up.printed, up)
    assert "HIGH" in up.printed[0]
    assert "at 1 W 91st St" in up.printed[0]
    port, link = up.address()
    up.process.stdin.write(reading(2))
    up.process.stdin.flush()
    wait_for(lambda: len(up.printed) == 2, up)
    assert page(port, "/healthz")[0] == 200
    assert page(port, link)[0] == 302
    wait_for(lambda: len([line for line in up.said if LINK.search(line)]) == 2, up)
    up.stop()
    assert up.process.returncode == 0
    assert "Traceback" not in "".join(up.said)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_correction_made_at_the_desk_enters_through_the_engine(start: Starter) -> None:
    (start.directory / "one.ndjson").write_text(reading(1).replace('"value"', '"violation_code": 46, "value"'))
    up = start("one.ndjson")
    wait_for(lambda: up.printed, up)

    def alerts(*words: str) -> str:
        command = [CITYWATCH, *words, "--data", str(start.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    (alert,) = (json.loads(line)["id"] for line in alerts("alerts", "list", "--format", "ndjson").splitlines())
    alerts("alerts", "correct", alert, "--code", "38")
    wait_for(lambda: "violation.corrected" in alerts("events", "--format", "ndjson"), up)
    assert json.loads(alerts("alerts", "list", "--format", "ndjson"))["outcome"] == "corrected"


def test_the_demo_raises_its_first_alert_by_itself_and_can_end_there_when_there_is_a_page(start: Starter) -> None:
    up = start("--demo", "--until-alert")
    assert up.process.wait(PATIENCE) == 0
    up.end()
    assert up.printed
    assert any(map(LINK.search, up.said)), "not before it has shown that there is a page"
    assert "Traceback" not in "".join(up.said)


def test_a_port_in_use_is_a_clear_error_with_what_to_do(start: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [CITYWATCH, "up", "--data", str(start.data), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert f"cannot serve on 127.0.0.1:{port}: address already in use" in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert not start.data.exists()


def test_a_file_where_it_is_started_is_not_taken_for_a_module_of_the_same_name(start: Starter) -> None:
    (start.directory / "http.py").write_text("raise SystemExit('a file of somebody was run')\n")
    up = start()
    assert page(up.address()[0], "/healthz")[0] == 200
    up.stop()
    assert "was run" not in "".join(up.said)


def test_a_second_one_on_the_same_data_is_refused_and_the_first_goes_on(start: Starter) -> None:
    first = start()
    port, _ = first.address()
    second = start()
    assert second.process.wait(PATIENCE) == 1
    second.end()
    assert f"process {first.process.pid} already writes" in "".join(second.said)
    assert page(port, "/healthz")[0] == 200


def test_the_page_ends_when_the_engine_is_killed(start: Starter) -> None:
    up = start()
    port, _ = up.address()
    up.process.kill()
    up.process.wait()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.1)
    pytest.fail("the page's process outlived `up`")


def test_sigterm_ends_it_as_ctrl_c_does(start: Starter) -> None:
    up = start()
    up.address()
    up.stop(signal.SIGTERM)
    assert up.process.returncode == 0


def test_rules_that_do_not_load_stop_it_before_anything_is_served(start: Starter) -> None:
    (start.directory / "rules" / "any_reading.yaml").write_text(RULE.replace("level: high", "level: hihg"))
    up = start()
    assert up.process.wait(PATIENCE) == 1
    up.end()
    assert "any_reading.yaml:" in "".join(up.said)
