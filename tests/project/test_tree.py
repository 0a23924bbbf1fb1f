"""The tree stands by itself: it installs anywhere, and nothing in it belongs to the machine it was written on."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def urls(value: object) -> list[str]:
    if isinstance(value, dict):
        return [url for key, item in value.items() for url in ([item] if key in ("url", "registry") else urls(item))]
    if isinstance(value, list):
        return [url for item in value for url in urls(item)]
    return []


@pytest.mark.parametrize("place", [".", "deploy/airflow"])
def test_the_lock_names_no_host_but_pypi(place: str) -> None:
    lock = tomllib.loads((ROOT / place / "uv.lock").read_text("utf-8"))
    hosts = {urlsplit(url).netloc for url in urls(lock)}
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_the_lock_belongs_to_the_project_file() -> None:
    subprocess.run(["sh", "scripts/uv", "lock", "--check", "--offline", "--quiet"], cwd=ROOT, check=True)


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    own = re.compile(r"(?:^|[^A-Za-z0-9_.<>$}-])/(?:work|home|Users|root|farm|mnt)/[a-z]", re.MULTILINE)
    found = []
    for path in tracked():
        if path.suffix in (".png", ".gz", ".parquet", ".lock") or path == Path(__file__):
            continue
        text = path.read_text("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {match[0].strip()}" for match in own.finditer(text)]
    assert not found


def test_nothing_large_is_in_the_tree() -> None:
    large = {str(path.relative_to(ROOT)): size for path in tracked() if (size := path.stat().st_size) > 500_000}
    large.pop("uv.lock", None)
    assert not large


def test_files_and_functions_are_of_a_size_that_one_takes_in() -> None:
    files, functions = [], []
    for path in tracked("*.py"):
        source = path.read_text("utf-8")
        if source.count("\n") > 450:
            files.append(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "migrations" not in path.parts:
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 60:
                    functions.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines")
    assert not files, f"over 450 lines: {files}"
    assert not functions


def test_every_exception_from_the_linter_says_why() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"#\s*(noqa|type: ignore)", line)
        and not re.search(r"(noqa|ignore)[^#]* (- |# |[—–] )\w", line)
        and path != Path(__file__)
    ]
    assert not silent


HEAVY = ("duckdb", "numpy", "pyarrow", "django", "shapely", "yaml", "uvicorn", "asyncio", "sqlite3")


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys\n"
        "from citywatch.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_no_command_loads_pandas_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text('{"specversion":"1.0","id":"1","source":"s","type":"t"}\n')
    code = (
        "import sys\n"
        "from citywatch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('loaded:', *(name for name in ('pyarrow', 'pandas') if name in sys.modules))"
    )
    command = ["run", str(tmp_path / "events.ndjson"), "--once", "--data", str(tmp_path / "data")]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:", "pyarrow"]


@pytest.mark.parametrize(
    "target", ["setup", "run", "test", "check", "soak", "bench", "docs", "wheel", "sender", "clean"]
)
def test_make_help_lists_the_target_and_make_knows_it(target: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(["make", "help"], cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout
    assert f"make {target} " in said
    subprocess.run(["make", "-n", target], cwd=ROOT, env=plain, capture_output=True, check=True)
