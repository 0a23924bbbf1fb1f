"""What a person sees while a file is sent, and how it is stopped."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.sender.command import key_from
from citywatch.sender.door import Door
from citywatch.sender.problems import SendError
from citywatch.sender.progress import Screen
from tests.unit.sender.city import City, closed_port, open_city
from tests.unit.sender.sent import HEADER, event, events_file, send

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def city() -> Iterator[City]:
    with open_city() as opened:
        yield opened


class Terminal(io.StringIO):
    encoding = "ascii"

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is_and_is_clean_at_the_end(city: City, tmp_path: Path) -> None:
    screen = Screen(out := Terminal())
    city.answers = [(503, {}, b"")]
    send(events_file(tmp_path, range(10)), city.url, screen, batch=5)
    screen.notice("Łódź is done")
    shown = out.getvalue().split("\r")
    assert "503 Service Unavailable: trying again in 0 s" in shown[1]
    assert "events.ndjson: 100%, 5 lines sent" in shown[2]
    assert shown[-2].isspace()
    assert shown[-1] == "?\u00f3d? is done\n".replace("\u00f3", "?")


def test_a_terminal_tells_that_identical_lines_are_looked_for(city: City, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "\n4,K,x,10/21/2020 0309A,46\n")
    send(file, city.url, Screen(out := Terminal()), mapping="prestacop")
    assert "a.csv: looking for identical lines" in out.getvalue()


def test_a_pipe_stays_quiet(city: City, tmp_path: Path) -> None:
    city.answers = [(503, {}, b"")]
    send(events_file(tmp_path, range(10)), city.url, Screen(out := io.StringIO()), batch=5)
    assert out.getvalue() == ""


def test_ctrl_c_says_how_far_it_went_and_the_same_command_goes_on(city: City, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join(event(n) + "\n" for n in range(1000)))
    command = [sys.executable, "-m", "citywatch.sender", str(file), "--to", city.url]
    noted = tmp_path / "events.ndjson.citywatch-sent"
    process = subprocess.Popen([*command, "--rate", "20"], stderr=subprocess.PIPE, text=True)
    while not noted.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.startswith("stopped: ")
    assert said.endswith("lines sent; the same command goes on where it stopped\n")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    now = re.match(r"1,000 lines sent \((\d+) of them now\)", done.stderr)
    assert now is not None
    assert 0 < int(now[1]) < 1000
    assert list(city.kept) == [str(n) for n in range(1000)]


def test_the_proxy_that_the_system_names_is_used(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", city.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "\n4,K,x,10/21/2020 0309A,46\n")
    send(file, "http://city.example:8000/below/", mapping="my drones")
    assert city.requests[0][0] == "http://city.example:8000/below/api/v1/ingest/my%20drones"
    assert city.requests[0][1]["Host"] == "city.example:8000"


@pytest.mark.parametrize(
    ("url", "told"), [("http://127.0.0.1:1", False), ("https://city.example", False), ("http://city.example", True)]
)
def test_a_key_that_others_could_read_on_the_way_is_told(url: str, told: bool) -> None:
    assert Door(url, "s3cret").tells_the_key is told


@pytest.mark.parametrize(
    "url", ["", "city", "ftp://city", "http://", "http://city:port", "http://city:0", "http://a:b@city", "http://c/?x"]
)
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"is no address|password"):
        send(events_file(tmp_path, range(1)), url)


def test_nobody_there_is_said_in_a_few_words(tmp_path: Path) -> None:
    class Notes(Screen):
        def waits(self, why: str, seconds: float) -> None:
            raise LookupError(why, seconds)

    with pytest.raises(LookupError, match=r"^\('connection refused', 0\.0"):
        send(events_file(tmp_path, range(1)), closed_port(), Notes(io.StringIO()))


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_key_is_read_from_a_file_as_windows_writes_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_bytes("cw_s3cret\r\n".encode(encoding))
    assert key_from(tmp_path / "key.txt", {}) == "cw_s3cret"


@pytest.mark.parametrize("content", [b"", b"a\nb", b"a\xff", b"\xff\xfea", "schl\u00fcssel".encode()])
def test_what_is_no_key_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_bytes(content)
    with pytest.raises(SendError, match="key"):
        key_from(tmp_path / "key.txt", {})
