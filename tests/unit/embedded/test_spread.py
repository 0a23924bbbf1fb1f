"""Records that become too many events to be made at once: files and topics are read in parts, a request is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from citywatch.engine.embedded import live
from citywatch.engine.embedded.bounded import Summary
from citywatch.engine.embedded.gathering import Gathering
from citywatch.errors import TooLargeError
from citywatch.mappings import parse as parsing
from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Outcome
from citywatch.settings import Settings
from tests.unit.embedded.city import File, chunk, engine
from tests.unit.mappings.test_spread import read


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MOST", 5_000)
    monkeypatch.setattr(live, "_HANDED_BYTES", 1_000)


def parser() -> Parser:
    return Parser(Settings(), load_mappings())


@pytest.mark.parametrize("parsers", [1, 3])
def test_a_file_is_read_in_parts(tmp_path: Path, parsers: int) -> None:
    files = [
        File(chunk(read(3, 3, 3, 1)), name="one"),
        File(chunk([*read(1, camera="yard"), "x", *read(3, 3, 3, camera="yard")]), name="two"),
    ]
    with engine(tmp_path) as host:
        summary = host.run_bounded(files, [parser().parse for _ in range(parsers)])
    assert (summary.read, summary.events, summary.duplicates, summary.rejected) == (21, 20, 0, 1)


class Feed(File):
    """A sender that waits to hear that its records are safe; notes how much was safe when it heard so."""

    trouble = None

    def __init__(self, *chunks: Chunk) -> None:
        super().__init__(*chunks, name="feed")
        self.told: list[tuple[int, int]] = []
        self.stored: Any = None

    def committed(self, chunks: int) -> None:
        self.told.append((chunks, self.stored()))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("parsers", [1, 3])
def test_a_sender_hears_that_its_records_are_safe_when_all_parts_of_them_are(
    tmp_path: Path, parsers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(chunk(read(3, 3, 3, 3, 3)))
    commits = []
    with engine(tmp_path) as host:
        feed.stored = lambda: host.status()["events"]
        commit = host._intake.commit

        def counted(submissions: Any) -> Any:
            commits.append(sum(one.parsed.read for one in submissions))
            return commit(submissions)

        monkeypatch.setattr(host._intake, "commit", counted)
        listening = host.listen([(feed, [parser().parse for _ in range(parsers)])])
        listening.wait()
        assert listening.summary(Summary()).events == 15
    assert feed.told == [(1, 15)]
    assert sum(commits) == 15
    assert max(commits) < 15


def test_a_request_is_refused_as_a_whole_and_its_neighbours_are_accepted(tmp_path: Path) -> None:
    gate, inside = threading.Event(), threading.Event()
    parse = parser().parse

    def gated(piece: Chunk) -> Any:
        inside.set()
        assert gate.wait(60)
        return parse(piece)

    def sent(camera: str, *plates: int) -> Chunk:
        texts = [text.replace("K0", f"L{n}") for n, text in enumerate(read(*plates, camera=camera))]
        return replace(chunk(texts), mapping="openalpr")

    with engine(tmp_path) as host:
        gathers = Gathering(host, "http", gated)
        first = gathers.enter(sent("A", 1))
        assert inside.wait(60)
        waiting = [gathers.enter(sent(*each)) for each in (("B", 2), ("C", 3, 3, 3, 3), ("D", 3), ("E", 2, 2))]
        gate.set()
        assert first.result(60) == Outcome(1, 0)
        assert [one.result(60) for one in (waiting[0], waiting[2], waiting[3])] == [
            Outcome(2, 0), Outcome(3, 0), Outcome(4, 0)
        ]  # fmt: skip
        with pytest.raises(TooLargeError, match="smaller batches"):
            waiting[1].result(60)
        gathers.stop()
