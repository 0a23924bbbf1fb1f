"""What Spark's Python workers write for themselves goes with them, however they end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from citywatch.engine.spark.scratch import Scratch

KILLED = """
import os, signal
from citywatch.engine.spark.scratch import Scratch
scratch = Scratch()
(scratch.path / "run").write_bytes(b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def left(place: Path) -> list[Path]:
    """The directories, as if they had been made an hour ago."""
    found = sorted(place.iterdir())
    for path in found:
        os.utime(path, (time.time() - 3600,) * 2)
    return found


def test_it_goes_with_its_owner(place: Path) -> None:
    scratch = Scratch()
    (scratch.path / "run").write_bytes(b"x")
    assert left(place) == [scratch.path]
    del scratch
    gc.collect()
    assert left(place) == []


def test_the_next_worker_removes_what_one_that_was_killed_has_left_and_nothing_else(place: Path) -> None:
    alive = Scratch()
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode < 0
    (dead,) = set(left(place)) - {alive.path}
    other = place / "somebody-elses"
    other.mkdir()
    later = Scratch()
    assert set(left(place)) == {alive.path, later.path, other}
    assert not dead.exists()


def test_one_that_has_just_been_made_may_not_have_its_lock_yet(place: Path) -> None:
    new = place / "citywatch-identities-new"
    new.mkdir()
    scratch = Scratch()
    assert new.exists()
    assert scratch.path.exists()
