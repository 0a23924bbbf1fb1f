"""Ctrl-C in the middle of a query ends the command in a word, not in a stack of DuckDB's client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from citywatch.cli.interruption import as_interrupt

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))

_INTERRUPTED = """
import os, signal, sys, threading
from citywatch.cli import main
threading.Timer(2, os.kill, [os.getpid(), signal.SIGINT]).start()
main(sys.argv[1:])
"""

_ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000000) b"


def test_a_question_that_is_interrupted_ends_without_a_stack(tmp_path: Path) -> None:
    (tmp_path / "none.ndjson").touch()
    begin = ["run", str(tmp_path / "none.ndjson"), "--once", "--data", str(tmp_path / "data")]
    subprocess.run([CITYWATCH, *begin], check=True, capture_output=True)
    command = [sys.executable, "-c", _INTERRUPTED, "sql", _ENDLESS, "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.split()) == (1, "", ["Aborted!"])


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="something else"), as_interrupt():
        raise RuntimeError("something else")
