"""Ctrl-C in the middle of a query is an interruption as any other, however DuckDB's client tells of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from citywatch.cli.interruption import as_interrupt
from tests.mqtt.broker import until

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b"

STARTED_S = 4.0
"""Seconds of computing in which a command has come to its query; before, it ends in the same way."""


def test_what_duckdb_says_of_an_interrupted_query_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        raise RuntimeError("Query interrupted")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="something else"), as_interrupt():
        raise RuntimeError("something else")


@pytest.mark.skipif(sys.platform != "linux", reason="sees as Linux tells it that the query runs")
def test_a_signal_ends_a_question_in_the_middle_of_a_step_that_would_take_for_ever(tmp_path: Path) -> None:
    (tmp_path / "none.ndjson").touch()
    data = ["--data", str(tmp_path / "data")]
    subprocess.run([CITYWATCH, "run", str(tmp_path / "none.ndjson"), "--once", *data], check=True, capture_output=True)
    pipe = subprocess.PIPE
    with subprocess.Popen([CITYWATCH, "sql", ENDLESS, *data], stdout=pipe, stderr=pipe, text=True) as asking:
        until(lambda: computed(asking.pid) > STARTED_S)
        asking.send_signal(signal.SIGINT)
        try:
            out, err = asking.communicate(timeout=60)
        finally:
            asking.kill()
    assert (asking.returncode, out, err.split()) == (1, "", ["Aborted!"])


def computed(pid: int) -> float:
    """Seconds that a process has computed."""
    user, system = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
