"""schemathesis against the real thing: `citywatch up`, every operation of its OpenAPI document, whoever wrote it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.console.access import Scope

BIN = Path(sys.executable).parent
CITYWATCH, SCHEMATHESIS = str(BIN / "citywatch"), str(BIN / "schemathesis")

EXAMPLES = 8
"""Of each kind, for each operation: enough for every check to run, and for the whole to end within a minute."""

VIOLATION = {
    "specversion": "1.0",
    "id": "1",
    "source": "drone/4",
    "type": "drone.violation",
    "data": {"plate": "K1234", "violation_code": 46, "needs_human": True, "lat": 40.7, "lon": -74.0},
}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and key, with all scopes, of a citywatch that has an alert."""
    (tmp_path / "one.ndjson").write_text(json.dumps(VIOLATION))
    data = str(tmp_path / "data")
    command = [CITYWATCH, "up", "one.ndjson", "--data", data, "--port", "0"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        address = _address(tmp_path / "said", process)
        scopes = [word for scope in Scope for word in ("--scope", scope)]
        made = [CITYWATCH, "users", "keys", "add", "checker", "--data", data, *scopes]
        yield address, subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
        assert process.poll() is None
        assert "Traceback" not in (tmp_path / "said").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _address(said: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it serves, once the first alert is out: then its doors are open too."""
    end = time.monotonic() + 60
    while True:
        text = said.read_text()
        if "HIGH" in text and (found := re.search("(http://[^ ]+)/sign-in/", text)):
            return found[1]
        assert process.poll() is None, text
        assert time.monotonic() < end, text
        time.sleep(0.05)


def test_schemathesis_finds_nothing(up: tuple[str, str], tmp_path: Path) -> None:
    address, key = up
    command = [
        SCHEMATHESIS,
        "run",
        f"{address}/api/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {key}",
    ]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Operations: +(\d+) selected / (\d+) total", done.stdout)
    assert tested is not None
    assert tested[1] == tested[2]
    cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert cases is not None, done.stdout
    assert int(cases[2]) > 500
