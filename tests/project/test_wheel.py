"""The wheel, installed into an environment of its own away from the tree, does what it does in the tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "drone/4",
    "type": "drone.violation",
    "time": "2026-05-01T12:00:00Z",
    "data": {"plate": "K1", "violation_code": 46, "needs_human": True, "lat": 40.7, "lon": -73.9},
}


def uv(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "uv"), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--quiet", "--out-dir", out, ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `citywatch` of an environment with the wheel and what it needs, none of the developers' packages."""
    place = tmp_path_factory.mktemp("installed")
    needs = place / "requirements.txt"
    uv("export", "--frozen", "--no-emit-project", "--no-dev", "--quiet", "--project", ROOT, "-o", needs)
    uv("venv", "--quiet", "--python", sys.executable, place / "venv")
    python = place / "venv" / "bin" / "python"
    uv("pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", needs)
    uv("pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    return python.with_name("citywatch")


def citywatch(installed: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(installed), *arguments], cwd=directory, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_has_rules_mappings_pages_and_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    def has(part: str, ending: str) -> bool:
        return any(part in name and name.endswith(ending) for name in names)

    assert has("citywatch/packs/", ".yaml")
    assert has("citywatch/mappings/", ".yaml")
    assert has("citywatch/console/", ".html")
    assert has("citywatch/console/", ".css")
    assert has("licenses/", "LICENSE")
    assert has("citywatch/", "py.typed")
    assert not [name for name in names if name.startswith(("tests", "bench", "docs", "scripts"))]


def test_installed_it_explains_itself(installed: Path, tmp_path: Path) -> None:
    assert "Commands" in citywatch(installed, tmp_path, "--help").stdout


def test_installed_its_rules_are_right(installed: Path, tmp_path: Path) -> None:
    citywatch(installed, tmp_path, "rules", "check")


def test_installed_it_reads_a_file_and_raises_an_alert(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text(json.dumps(EVENT) + "\n", "utf-8")
    ran = citywatch(installed, tmp_path, "run", "events.ndjson", "--once", "--data", "data")
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["events"] == 1
    assert summary["alerts"] >= 1
    listed = citywatch(installed, tmp_path, "alerts", "list", "--data", "data", "--format", "ndjson").stdout
    assert "needs_human" in [json.loads(line)["rule"] for line in listed.splitlines()]
