"""The systemd unit: one that systemd takes, that calls what there is, and that may do little."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from citywatch.cli import COMMANDS
from citywatch.rules.load import shipped
from tests.e2e.running import CITYWATCH, Running
from tests.project import confined
from tests.unit.sender.sent import event

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "citywatch.service"
SECTIONS = {"Unit", "Service", "Install"}
CONFINED = [sys.executable, confined.__file__, str(UNIT)]

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="systemd and its filters are of Linux")


def entries() -> dict[str, list[str]]:
    """Key -> its values, in their order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_it_is_made_of_sections_comments_and_entries() -> None:
    lines = [line for line in UNIT.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert {line.strip("[]") for line in lines if line.startswith("[")} == SECTIONS
    assert all(re.fullmatch(r"\[\w+\]|[A-Z]\w+=.*", line) for line in lines)


def test_it_starts_a_command_that_there_is_on_the_directory_that_it_may_write() -> None:
    found = entries()
    program, command, *options = found["ExecStart"][0].split()
    assert program.endswith("/bin/citywatch")
    assert command in COMMANDS
    assert options == ["--data", f"/var/lib/{found['StateDirectory'][0]}"]


def test_it_has_no_privileges_and_writes_nothing_else() -> None:
    found = entries()
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert found[key] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert "ReadWritePaths" not in found


def test_systemd_takes_it(tmp_path: Path) -> None:
    """Where systemd is not here, what it would refuse is looked for in the text: keys that it does not know."""
    program = shutil.which("systemd-analyze")
    if program is None:
        assert not [key for key in entries() if not re.fullmatch(r"[A-Z][A-Za-z]+", key)]
        return
    program_there = tmp_path / "citywatch"  # it verifies that the program is there, too
    program_there.write_text("#!/bin/sh\n")
    program_there.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/citywatch/bin/citywatch", str(program_there)))
    done = subprocess.run([program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    mine = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, mine) == (0, [])


def test_its_documentation_is_where_its_head_says_to_put_it() -> None:
    (page,) = entries()["Documentation"]
    assert "cp -R docs /opt/citywatch/" in UNIT.read_text("utf-8")
    assert (ROOT / page.removeprefix("file:/opt/citywatch/")).is_file()


@only_linux
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("os.setpriority(os.PRIO_PROCESS, 0, 5)", "PermissionError"),
        ("os.chown('.', os.getuid(), os.getgid())", "PermissionError"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "Address family not supported"),
        ("[socket.socket(family).close() for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)]", ""),
        ("os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.chmod('.', 0o700)", ""),
    ],
    ids=["resources", "privileged", "another family", "its families", "what services may"],
)
def test_what_it_forbids_is_refused_and_nothing_else(code: str, error: str, tmp_path: Path) -> None:
    program = [*CONFINED, sys.executable, "-W", "ignore", "-c", f"import os, socket; {code}"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (error in done.stderr) if error else (done.returncode == 0), done.stderr


@only_linux
def test_under_what_it_forbids_citywatch_takes_events_and_goes_on(tmp_path: Path) -> None:
    up = Running(tmp_path / "data", program=[*CONFINED, CITYWATCH], rules=shipped())
    up.start()
    try:
        assert "Seccomp:\t2\n" in Path(f"/proc/{up.process.pid}/status").read_text()
        for number in range(3):
            assert up.post(event(number)) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
            time.sleep(0.3)  # the engine looks every 0.2 s whether what runs beside it still does
    finally:
        up.stop()
    assert (up.process.returncode, [line for line in up.said if "Error" in line]) == (0, [])
    assert {found["id"] for found in up.events()} >= {"0", "1", "2"}
