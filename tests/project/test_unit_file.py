"""The systemd unit: one that systemd takes, that calls what there is, and that may do little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from citywatch.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "citywatch.service"
SECTIONS = {"Unit", "Service", "Install"}


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
