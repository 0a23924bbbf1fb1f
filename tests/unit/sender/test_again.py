"""A file that is sent again, goes on, has grown or has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from citywatch.sender.problems import SendError
from citywatch.sender.progress import report
from citywatch.sender.sending import Options, Sending, Watcher
from tests.unit.sender.city import City, kept_rows, open_city
from tests.unit.sender.sent import Notes, event, events_file, send

pytestmark = pytest.mark.timeout(60)  # a sender that waits for ever should not take others with it

SECOND = 10**9
"""In nanoseconds."""


@pytest.fixture
def city() -> Iterator[City]:
    with open_city() as opened:
        yield opened


def test_a_sending_goes_on_at_the_line_behind_the_last_acknowledged_one(city: City, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join(("x" if n % 10 == 9 else event(n)) + "\n" for n in range(100)))
    refused: list[tuple[int, dict[str, str], bytes]] = [(404, {}, b"")]

    def third(record: str) -> str | None:
        city.answers = refused if len(city.requests) == 3 else []
        return None

    city.refuse = third
    with pytest.raises(SendError, match="404"):
        send(file, city.url, batch=10)
    assert len(city.kept) == 30
    city.refuse, city.answers = (lambda _: None), []
    sending = send(file, city.url, batch=10)
    assert [json.loads(records[0])["id"] for _, _, records in city.requests][3] == "33"
    assert sum(len(records) for _, _, records in city.requests) == 90
    assert report(sending) == "90 lines sent (60 of them now), 10 kept in events.rejected.csv"
    assert [n for n, _, _ in kept_rows((tmp_path / "events.rejected.csv").read_text())] == [*range(10, 101, 10)]


def test_a_file_that_was_sent_is_not_sent_again(city: City, tmp_path: Path) -> None:
    file = events_file(tmp_path, range(5))
    send(file, city.url)
    assert report(send(file, city.url)) == "5 lines sent (0 of them now)"
    assert len(city.requests) == 1
    send(file, city.url, again=True)
    assert len(city.requests) == 2


def test_a_file_that_has_grown_is_sent_from_where_it_ended(city: City, tmp_path: Path) -> None:
    file = events_file(tmp_path, range(5))
    send(file, city.url)
    with file.open("a") as more:
        more.write(event(5) + "\nbroken\n" + event(6) + "\n")
    assert report(send(file, city.url)) == "7 lines sent (2 of them now), 1 kept in events.rejected.csv"
    assert [len(records) for _, _, records in city.requests] == [5, 2]
    assert kept_rows((tmp_path / "events.rejected.csv").read_text())[0][0] == 7


@pytest.mark.parametrize("change", ["other beginning", "other end", "shorter", "line went on", "touched"])
def test_a_file_that_has_changed_is_noticed_and_sent_from_its_beginning(
    city: City, tmp_path: Path, change: str
) -> None:
    file = events_file(tmp_path, range(5))
    text = file.read_text()
    if change == "line went on":
        file.write_text(text.removesuffix("\n"))
    send(file, city.url)
    sent = file.stat().st_mtime_ns
    file.write_text(
        {
            "other beginning": " " + text + event(5) + "\n",
            "other end": text.replace('"4"', '"44"') + event(5) + "\n",
            "shorter": text[: text.rindex("{")],
            "line went on": text + event(5) + "\n",
            "touched": text,
        }[change]
    )
    os.utime(file, ns=(sent + SECOND, sent + SECOND))  # however coarse the clock of the file system is
    notes = Notes()
    send(file, city.url, notes)
    assert notes.words == [
        "events.ndjson has changed since line 5 was sent: it is sent from the beginning; what is known is not doubled"
    ]
    assert {json.loads(line)["id"] for line in file.read_text().splitlines()} <= set(city.kept)


def test_a_line_that_is_being_written_waits_for_the_next_call(city: City, tmp_path: Path) -> None:
    file = events_file(tmp_path, range(5))
    with file.open("a") as more:
        more.write(event(5)[:20])
    sending = Sending(Options(file, city.url), Watcher())
    with file.open("a") as more:
        more.write(event(5)[20:] + "\n")
    sending.run()
    assert list(city.kept) == [*"01234"]
    assert report(send(file, city.url)) == "6 lines sent (1 of them now)"


def test_another_address_gets_the_file_from_its_beginning(city: City, tmp_path: Path) -> None:
    file, notes = events_file(tmp_path, range(5)), Notes()
    send(file, city.url)
    with open_city() as other:
        send(file, other.url, notes)
        assert len(other.kept) == 5
    assert notes.words == [f"sent before to {city.url}: now from the beginning"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 2, "offset": 7}'])
def test_a_state_file_that_is_not_understood_is_no_harm(city: City, tmp_path: Path, content: str) -> None:
    file = events_file(tmp_path, range(5))
    (tmp_path / "events.ndjson.citywatch-sent").write_text(content)
    send(file, city.url)
    assert len(city.kept) == 5


def test_what_is_remembered_and_kept_can_stand_elsewhere(city: City, tmp_path: Path) -> None:
    source, keep = tmp_path / "disc", tmp_path / "keep"
    source.mkdir()
    keep.mkdir()
    file = source / "a.ndjson"
    file.write_text("x\n" + event(1) + "\n")
    send(file, city.url, keep=keep)
    assert [path.name for path in source.iterdir()] == ["a.ndjson"]
    assert sorted(path.name for path in keep.iterdir()) == ["a.ndjson.citywatch-sent", "a.rejected.csv"]


def test_lines_kept_by_a_call_that_was_killed_are_not_kept_twice(city: City, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text("x\n" + event(1) + "\ny\n" + event(2) + "\n")
    state, kept = tmp_path / "a.ndjson.citywatch-sent", tmp_path / "a.rejected.csv"
    remembered: list[bytes] = []

    class Remember(Watcher):
        def at(self, *_: Any) -> None:
            remembered.append(state.read_bytes())

    send(file, city.url, Remember(), batch=1)
    whole = kept.read_text()
    state.write_bytes(remembered[0])  # as if it had been killed between keeping and remembering
    assert report(send(file, city.url)).startswith("2 lines sent (1 of them now), 2 kept in a.rejected.csv")
    assert kept.read_text() == whole
