"""Servers of the tests leave nothing behind, also when the tests are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.mqtt.broker import until

# A run of tests that shares a server, which says by a file that it is there; its program is a sleeping process.
_RUN = """
import os, sys, time
from deploy.servers.server import Server
from tests.cluster.servers import shared

class Sleeper(Server):
    name = address = "sleeper"

    def prepare(self):
        (self.directory / "data").mkdir()

    def command(self):
        write = "import os, pathlib, time; pathlib.Path('data/pid').write_text(f'{os.getpid()}\\\\n'); time.sleep(600)"
        return [sys.executable, "-c", write]

    def ready(self):
        pid = self.directory / "data" / "pid"
        return pid.exists() and pid.read_text().endswith("\\n")

shared("sleeper", lambda directory: Sleeper(directory, owner=os.getpid(), remove=directory.parent))
print("started", flush=True)
time.sleep(600)
"""


def test_a_server_of_a_run_that_is_killed_ends_and_its_directory_is_gone(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    command = [sys.executable, "-c", _RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**environment, "TMPDIR": str(tmp_path)}) as run:
        assert run.stdout
        assert run.stdout.readline() == b"started\n"
        (place,) = tmp_path.glob("citywatch-tests-*")
        server = int((place / "server" / "data" / "pid").read_text())
        session = os.getsid(server)
        assert session not in (run.pid, server), "a session of its own, which its watch leads"
        run.send_signal(signal.SIGKILL)
    until(lambda: not (_runs(server) or _runs(session)))
    assert list(tmp_path.iterdir()) == []


def _runs(pid: int) -> bool:
    """Whether a process does anything: one that ended, and that nobody has asked about, is still named."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
