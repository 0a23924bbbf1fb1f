"""The sender in one file on Windows: CPython's own builds for Windows, on Wine, which `make windows` gets."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.sender import ROOT, build
from tests.unit.sender.city import FAULTS, City, bad_link, kept_rows, open_city
from tests.unit.sender.sent import HEADER, event, events_file

pytestmark = [pytest.mark.soak, pytest.mark.windows, pytest.mark.timeout(180)]

HERE = ROOT / ".cache" / "windows"
OLD, NEW = "3.9.2", "3.13.5"
DRIVE = {"WINEPREFIX": str(HERE / "drive"), "WINEDEBUG": "-all"}
PEAK = """
import ctypes, runpy, sys
from ctypes import wintypes
class Counters(ctypes.Structure):
    _fields_ = [(name, wintypes.DWORD) for name in ("cb", "faults")] + [
        (name, ctypes.c_size_t) for name in ("peak", "now", "a", "b", "c", "d", "pages", "most_pages")
    ]
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    counters = Counters(cb=ctypes.sizeof(Counters))
    process = ctypes.windll.kernel32.GetCurrentProcess
    process.restype = wintypes.HANDLE
    ask = ctypes.windll.psapi.GetProcessMemoryInfo
    ask.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    assert ask(process(), ctypes.byref(counters), counters.cb)
    print(counters.peak // 1024)
"""

IMPATIENT = """
import pathlib, sys
sys.path.insert(0, "citywatch-send.pyz")
from citywatch_send.progress import report
from citywatch_send.sending import Options, Sending, Watcher
class Told(Watcher):
    def waits(self, why, seconds):
        print(why)
sending = Sending(Options(pathlib.Path(sys.argv[1]), sys.argv[2], batch=30, timeout=2.0, first_pause=0.01), Told())
sending.run()
print(report(sending))
"""


def program(python: str) -> list[str]:
    return [str((HERE / "wine").resolve()), str(HERE / f"python-{python}" / "python.exe")]


class Windows:
    """A directory on a drive of Windows with the sender in it, and a Python to run it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        build(directory / "citywatch-send.pyz")

    def start(self, *words: object, python: str = OLD, **environment: str) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CITYWATCH_")}
        return subprocess.Popen(
            [*program(python), *map(str, words)],
            cwd=self.directory,
            env={**kept, **DRIVE, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: object, python: str = OLD, **environment: str) -> tuple[int, str, str]:
        """Exit code of a program, what it wrote and what it said, as Windows does in Western Europe and America."""
        with self.start(*words, python=python, **environment) as process:
            code = process.wait()
            try:
                told = process.communicate(timeout=2)
            except subprocess.TimeoutExpired as error:  # parts of Wine outlive the program, and have its pipes
                told = error.output or b"", error.stderr or b""
        out, said = (content.decode("cp1252").replace("\r\n", "\n") for content in told)
        return code, out, said

    def send(self, *words: object, python: str = OLD, **environment: str) -> tuple[int, str]:
        """Exit code of the sender, and what it said."""
        code, out, said = self.run("-W", "error", "citywatch-send.pyz", *words, python=python, **environment)
        assert out == ""
        return code, said


@pytest.fixture(scope="session")
def started() -> Iterator[None]:
    """Wine takes three seconds to start, and ends with its last program: here is one that waits."""
    if not (HERE / "wine").exists():
        pytest.fail("no Windows to send from: `make windows` says what is missing, and installs it on Debian")
    waits = [*program(OLD), "-c", "input()"]
    with subprocess.Popen(waits, env={**os.environ, **DRIVE}, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL):
        yield  # then its input ends


@pytest.fixture
def windows(tmp_path: Path, started: None) -> Windows:
    directory = tmp_path / "Eigene Dateien (März)"
    directory.mkdir()
    return Windows(directory)


@pytest.fixture
def city() -> Iterator[City]:
    with open_city() as opened:
        yield opened


@pytest.mark.parametrize("python", [OLD, NEW])
def test_it_is_windows_that_it_runs_on(windows: Windows, python: str) -> None:
    asked = "import sys, os; print(sys.platform, os.name, os.sep, sys.version.split()[0])"
    _, out, _ = windows.run("-c", asked, python=python)
    assert out.split() == ["win32", "nt", "\\", python]


@pytest.mark.parametrize("python", [OLD, NEW])
def test_a_file_of_windows_is_sent_and_what_is_broken_is_kept(windows: Windows, city: City, python: str) -> None:
    rows = [f"4,K{n},Café,10/21/2020 0309A,46" for n in range(1204)] + ["4,K1,Café,10/21/2020 0309A,46"]
    file = windows.directory / "Übersicht.csv"
    file.write_bytes("\r\n".join([HEADER, "a,b", *rows, "x", "y", "4,K"]).encode("cp1252"))
    city.refuse = lambda record: "no such drone" if ",K7," in record else None
    call = (".\\Übersicht.csv", "--to", city.url, "--mapping", "prestacop")
    assert windows.send(*call, python=python) == (0, "1,204 lines sent, 5 kept in Übersicht.rejected.csv\n")
    assert len(city.kept) == 1204
    assert all("Café" in record for record in city.kept.values())
    kept = kept_rows((windows.directory / "Übersicht.rejected.csv").read_text("utf-8"))
    assert [line for line, _, _ in kept] == [2, 10, 1208, 1209, 1210]
    assert windows.send(*call, python=python)[1].startswith("1,204 lines sent (0 of them now)")
    with file.open("ab") as more:
        more.write(b"5555,Caf\xe9,10/21/2020 0309A,46\r\n4,K9999,Caf\xe9,10/21/2020 0309A,46\r\n")
    assert windows.send(*call, python=python)[0] == 0
    assert len(city.kept) == 1204 + 2, "the cut line is whole now, and one is new"


def test_over_a_bad_link_exactly_the_good_lines_arrive_once(windows: Windows, city: City) -> None:
    lines = [event(number) if number % 7 else "broken" for number in range(400)]
    packed = gzip.compress(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    (windows.directory / "events.ndjson.gz").write_bytes(packed)
    faults = itertools.chain(*([fault, ""] for fault in FAULTS), itertools.repeat("", 30))
    with bad_link(city, lambda: next(faults)) as url:
        code, said = windows.send("events.ndjson.gz", "--to", url, "--batch", 30)
    assert code == 0
    assert said.startswith("342 lines sent, 58 kept in events.rejected.csv, 60 of what they hold was known")
    assert list(city.kept) == [str(number) for number in range(400) if number % 7]
    assert len(list(faults)) < 30, "all of them happened"


@pytest.mark.parametrize("python", [OLD, NEW])
def test_a_server_that_keeps_silent_is_asked_again(windows: Windows, city: City, python: str) -> None:
    """First it has not got the lines, then it has: they are not doubled."""
    file = events_file(windows.directory, range(90))
    faults = itertools.chain(["", "stall", "answer late"], itertools.repeat("", 30))
    with bad_link(city, lambda: next(faults), stall=4.0) as url:
        _, out, said = windows.run("-W", "error", "-c", IMPATIENT, file.name, url, python=python)
    assert said == ""
    *waits, ended = out.splitlines()
    assert waits == ["no answer in time", "no answer in time"]
    assert ended == "90 lines sent, 30 of what they hold was known there already"
    assert list(city.kept) == [str(number) for number in range(90)]


def test_a_sender_that_is_killed_goes_on_where_it_was(windows: Windows, city: City) -> None:
    file = events_file(windows.directory, range(2000))
    call = (file.name, "--to", city.url, "--batch", 10)
    for _ in range(2):
        seen = len(city.requests)
        with windows.start("citywatch-send.pyz", *call) as process:
            while len(city.requests) < seen + 5 and process.poll() is None:
                time.sleep(0.001)
            process.kill()
    killed = len(city.requests)
    assert killed < 200, "it was killed before its end"
    assert windows.send(*call)[0] == 0
    assert list(city.kept) == [str(number) for number in range(2000)]
    assert sum(len(records) for _, _, records in city.requests) - 2000 <= 2 * 10, "but for the batch on its way"


def test_the_words_and_the_exit_code_say_how_it_ended(windows: Windows, city: City) -> None:
    file = events_file(windows.directory, range(3)).name
    assert windows.send(file, "--to", "city.example")[0] == 2
    assert windows.send("none.csv", "--to", city.url)[0] == 1
    city.key = "s3cret"
    code, said = windows.send(file, "--to", city.url)
    assert code == 1
    assert "401 No access" in said
    (windows.directory / "key.txt").write_bytes(b"\xef\xbb\xbfs3cret\r\n")  # as Notepad writes it
    assert windows.send(file, "--to", city.url, "--key-file", "key.txt") == (0, "3 lines sent\n")
    (windows.directory / "kept").mkdir()
    elsewhere = "Z:" + str(windows.directory / "kept").replace("/", "\\")  # on which Wine has the whole of this machine
    again = windows.send(file, "--to", city.url, "--keep", elsewhere, CITYWATCH_KEY="s3cret")
    assert again[1].startswith("3 lines sent, 3 of what they hold was known")
    assert (windows.directory / "kept" / "events.ndjson.citywatch-sent").exists()


def test_it_needs_little_memory_there_too(windows: Windows) -> None:
    file = windows.directory / "large.csv"
    with file.open("w") as out:
        out.write(HEADER + "\n")
        for number in range(60_000):
            out.write(f"4,K{number},{'x' * 600},10/21/2020 0309A,46\n")
    with open_city(City(ids="natural", keep_bodies=False)) as city:
        _, peak, said = windows.run("-c", PEAK, "citywatch-send.pyz", file.name, "--to", city.url, "--mapping", "any")
    assert said == "60,000 lines sent\n"
    assert 5_000 < int(peak) < 60 * 10**6 // 1024, "KiB"
