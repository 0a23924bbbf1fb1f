"""What a stranger does first works: a fresh copy of the tree, `make run`, an alert."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.servers.server import free_port
from tests.project.test_tree import ROOT, tracked


def environment() -> dict[str, str]:
    """As in a new terminal: what pytest, make and uv were given for this run is not there."""
    ours = ("CITYWATCH_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTEST", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def test_make_run_in_a_fresh_copy_shows_an_alert(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    done = subprocess.run(
        ["make", "run", "ONCE=1", f"ARGS=--port {free_port()}"],
        cwd=copy,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "http://127.0.0.1:" in done.stdout + done.stderr
    assert re.search(r"^\d\d:\d\d:\d\d  (LOW|MEDIUM|HIGH|CRITICAL) ", done.stdout, re.MULTILINE), done.stdout


def test_the_build_machine_fails_when_a_prerequisite_is_missing(tmp_path: Path) -> None:
    for tool in ("dirname", "bash"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [str(ROOT / ".ci" / "run")], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "is missing" in done.stderr


def test_setup_says_what_to_install_when_python_is_too_old(tmp_path: Path) -> None:
    for tool in ("sh", "dirname", "mkdir", "cat"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    scripts = tmp_path / "tree" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy2(ROOT / "scripts" / "uv", scripts / "uv")
    done = subprocess.run(
        ["sh", str(scripts / "uv"), "sync"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
