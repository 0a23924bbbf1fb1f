"""The sender as a program: in one file, on an old Python, killed, and small in memory."""

from __future__ import annotations

import ast
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.sender import PACKAGE, build
from tests.unit.sender.city import City, kept_rows, open_city
from tests.unit.sender.sent import HEADER, event, events_file

pytestmark = pytest.mark.timeout(120)

NEWER_THAN_3_8 = """
removeprefix removesuffix is_relative_to with_stem randbytes pairwise zoneinfo tomllib graphlib bit_count cache
usedforsecurity hardlink_to aclosing batched StrEnum unparse TaskGroup readlink cancel_futures
""".split()


@pytest.fixture
def city() -> Iterator[City]:
    with open_city() as opened:
        yield opened


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist") / "citywatch-send.pyz"
    build(target)
    return target


def python_3_8() -> str | None:
    """The oldest Python that the sender runs on, where there is one."""
    found = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python3.8"))]
    for python in filter(None, found):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CITYWATCH_")}
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**kept, **environment}, check=False
    )


def test_the_same_sources_give_the_same_file(tmp_path: Path, alone: Path) -> None:
    build(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == alone.read_bytes()


def test_the_sender_is_written_for_python_3_8_and_needs_only_python_itself() -> None:
    for file in PACKAGE.glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"), feature_version=(3, 8))
        for node in ast.walk(tree):
            name = getattr(node, "attr", None) or getattr(node, "arg", None) or getattr(node, "id", None)
            assert name not in NEWER_THAN_3_8, f"{file.name}: {name}"
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names), file.name
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in sys.stdlib_module_names, file.name


def test_one_file_sends_on_an_old_python(city: City, tmp_path: Path, alone: Path) -> None:
    python = python_3_8()
    if python is None:
        pytest.skip("no Python 3.8 on this machine")
    file = tmp_path / "tickets.csv"
    rows = [f"4,K{n},Café,10/21/2020 0309A,46" for n in range(1204)] + ["4,K1,Café,10/21/2020 0309A,46"]
    file.write_bytes("\r\n".join([HEADER, "a,b", *rows, "x", "y", "4,K"]).encode("cp1252"))
    city.refuse = lambda record: "no such drone" if ",K7," in record else None
    done = run(python, "-W", "error", alone, file, "--to", city.url, "--mapping", "prestacop")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "1,204 lines sent, 5 kept in tickets.rejected.csv\n"
    assert len(city.kept) == 1204
    assert len(kept_rows((tmp_path / "tickets.rejected.csv").read_text("utf-8"))) == 5
    again = run(python, alone, file, "--to", city.url, "--mapping", "prestacop")
    assert again.stderr == "1,204 lines sent (0 of them now), 5 kept in tickets.rejected.csv\n"


@pytest.mark.parametrize("program", ["alone", "citywatch"])
def test_the_words_and_the_exit_code_say_how_it_ended(city: City, tmp_path: Path, alone: Path, program: str) -> None:
    command = [sys.executable, alone] if program == "alone" else [Path(sys.executable).with_name("citywatch"), "send"]
    file = events_file(tmp_path, range(3))
    wrong = run(*command, file, "--to", "city.example")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'city.example' is no address (write it like http://city.example:8000)" in wrong.stderr
    assert run(*command, file).returncode == 2
    assert run(*command, file, "--to", city.url, "--key", "secret").returncode == 2
    assert run(*command, file, "--to", city.url, "--batch", "0").returncode == 2
    assert run(*command, tmp_path / "none.csv", "--to", city.url).returncode == 1
    city.key = "s3cret"
    refused = run(*command, file, "--to", city.url)
    assert refused.returncode == 1
    assert "401 No access" in refused.stderr
    assert "0 lines sent" in refused.stderr
    (tmp_path / "key").write_text("s3cret\n")
    fine = run(*command, file, "--to", city.url, "--key-file", tmp_path / "key")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "", "3 lines sent\n")
    fine = run(*command, file, "--to", city.url, "--again", CITYWATCH_KEY="s3cret")
    assert fine.stderr == "3 lines sent, 3 of what they hold was known there already\n"


def test_a_sender_that_is_killed_goes_on_where_it_was(city: City, tmp_path: Path, alone: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join((event(n) if n % 7 else "broken") + "\n" for n in range(2000)))
    command = [sys.executable, str(alone), str(file), "--to", city.url, "--batch", "10"]
    kills = 0
    while kills < 6:
        seen = len(city.requests)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while len(city.requests) < seen + 3 + 2 * kills and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    killed = len(city.requests)
    assert run(*command).returncode == 0
    good = [str(n) for n in range(2000) if n % 7]
    assert list(city.kept) == good
    twice = sum(len(records) for _, _, records in city.requests) - len(good)
    assert killed < len(city.requests), "it was killed before its end"
    assert twice <= kills * 10, "what was acknowledged is not sent again, but for the batch on its way"
    kept = kept_rows((tmp_path / "events.rejected.csv").read_text())
    assert [number for number, _, _ in kept] == [n + 1 for n in range(0, 2000, 7)]


LIMIT = 60 * 10**6 // 1024
"""KiB of memory that the sender may need, whatever the size of the file."""
MEASURED = """
import pathlib, re, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:  # not ru_maxrss: that begins with what the process that started this one held
    print(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize("ids", ["natural", "content"])
def test_memory_does_not_depend_on_the_size_of_the_file(tmp_path: Path, alone: Path, ids: str) -> None:
    file = tmp_path / "large.csv"
    row = "4,K{},907 W 91th St " + "x" * (60 if ids == "content" else 600) + ",10/21/2020 0309A,46\n"
    with file.open("w") as out:
        out.write(HEADER + "\n")
        for n in range(250_000 if ids == "content" else 60_000):
            out.write(row.format(n % 200_000))
        out.write("4,K," + "y" * (30 << 20) + "\n")
    with open_city(City(ids=ids, keep_bodies=False)) as city:
        done = run(sys.executable, "-c", MEASURED, alone, file, "--to", city.url, "--mapping", "any", "--batch", 5000)
    assert "1 kept in large.rejected.csv" in done.stderr
    assert int(done.stdout) < 45_000, "KiB: under 60 MB, and this is Python's own for the most part"


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
def test_the_command_of_an_installed_citywatch_is_as_small(tmp_path: Path, city: City) -> None:
    """It loads nothing of the engine: a file of any size needs this, and a few batches."""
    file = tmp_path / "small.csv"
    file.write_text(f"{HEADER}\n4,K1,907 W 91th St,10/21/2020 0309A,46\n")
    command = Path(sys.executable).with_name("citywatch")
    done = run(sys.executable, "-c", MEASURED, command, "send", file, "--to", city.url, "--mapping", "any")
    assert done.stderr.endswith("1 line sent\n")
    assert int(done.stdout) < 45_000, "KiB"


def peak(*command: object) -> tuple[str, int]:
    """What the sender said, and how much memory it needed at most, KiB."""
    done = run(sys.executable, "-c", MEASURED, *command)
    print(f"at most {done.stdout.strip()} KiB:", done.stderr)
    return done.stderr, int(done.stdout)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize("program", ["alone", "citywatch"])
def test_two_gigabytes_need_no_more_memory(tmp_path: Path, alone: Path, program: str) -> None:
    rows = "".join(f"4,K{n},{'x' * 4000},10/21/2020 0309A,46\n" for n in range(500)).encode()
    file = tmp_path / "large.csv.gz"
    file.write_bytes(gzip.compress(HEADER.encode() + b"\n") + gzip.compress(rows) * (2 * 10**9 // len(rows) + 1))
    command = [alone] if program == "alone" else [Path(sys.executable).with_name("citywatch"), "send"]
    with open_city(City(ids="natural", keep_bodies=False)) as city:
        said, kib = peak(*command, file, "--to", city.url, "--mapping", "any")
    assert said.endswith(" lines sent\n")
    assert kib < LIMIT


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
def test_two_gigabytes_of_short_lines_of_which_a_third_stands_there_twice_need_no_more_memory(
    tmp_path: Path, alone: Path
) -> None:
    lines, different = 36_000_000, 24_000_000
    file = tmp_path / "large.csv"
    with file.open("w") as out:
        out.write(HEADER + "\n")
        out.writelines(f"4,K{n % different},907 West 91st Street rear,10/21/2020 0309A,46\n" for n in range(lines))
    assert file.stat().st_size > 2 * 10**9
    with open_city(City(ids="content", keep_bodies=False)) as city:
        said, kib = peak(alone, file, "--to", city.url, "--mapping", "any", "--batch", 10_000)
    file.unlink()
    assert said == f"{lines:,} lines sent\n"
    assert city.repeated == lines - different
    assert kib < LIMIT


def test_state_is_whole_json_beside_the_file(city: City, tmp_path: Path, alone: Path) -> None:
    file = events_file(tmp_path, range(3))
    run(sys.executable, alone, file, "--to", city.url)
    state = json.loads((tmp_path / "events.ndjson.citywatch-sent").read_text())
    assert (state["offset"], state["line"], state["done"]) == (file.stat().st_size, 3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.ndjson", "events.ndjson.citywatch-sent"]
