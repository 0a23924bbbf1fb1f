"""What stands on the desk goes to a topic, also when desk or topic were away for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from citywatch.cli import topic_relay
from citywatch.cli.topic_relay import Taken, TopicRelay
from citywatch.connections.kafka import producing
from citywatch.connections.kafka.address import parse
from citywatch.connections.kafka.producing import Outgoing, UnwrittenError
from citywatch.errors import DeliveryError, StoreError
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

STANDING = [Taken(place, Outgoing(f"a{place}", b"{}")) for place in (1, 2, 3)]


class Topic:
    """Stands for a producer: notes what it is given, and refuses as often as it has `faults`."""

    written: list[str]
    faults: list[UnwrittenError]

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, _: str, messages: Sequence[Outgoing]) -> dict[int, str]:
        if self.faults:
            raise self.faults.pop()
        self.written.extend(str(message.key) for message in messages)
        return {}


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Topic]]:
    Topic.written, Topic.faults = [], []
    monkeypatch.setattr(producing, "Producing", Topic)
    monkeypatch.setattr(topic_relay, "_PAUSE_S", 0.01)
    yield Topic


def _relay(directory: Path, busy: list[StoreError]) -> TopicRelay:
    def take(_: Desk, after: int) -> list[Taken]:
        if busy:
            raise busy.pop()
        return [taken for taken in STANDING if taken.place > after]

    data = DataDirectory(directory)
    Desk(data.desk).close()
    return TopicRelay(data, parse("kafka://localhost/alerts"), "alerts", take, 0.01)


def test_a_desk_that_is_held_by_another_for_a_while_is_asked_again(
    tmp_path: Path, topic: type[Topic], capsys: pytest.CaptureFixture[str]
) -> None:
    with _relay(tmp_path, [StoreError("the file is held"), StoreError("the file is held")]) as relay:
        relay.drain()
    assert topic.written == ["a1", "a2", "a3"]
    assert capsys.readouterr().err.count("the file is held; alerts wait for it") == 1


def test_a_topic_that_was_away_gets_everything_once_it_is_back(
    tmp_path: Path, topic: type[Topic], capsys: pytest.CaptureFixture[str]
) -> None:
    topic.faults += [UnwrittenError("nobody answers"), UnwrittenError("nobody answers")]
    with _relay(tmp_path, []) as relay:
        relay.drain()
    assert topic.written == ["a1", "a2", "a3"]
    assert capsys.readouterr().err.count("nobody answers; alerts wait for it") == 1


def test_what_does_not_pass_ends_it_and_says_so(
    tmp_path: Path, topic: type[Topic], capsys: pytest.CaptureFixture[str]
) -> None:
    topic.faults.append(UnwrittenError("no right to write", lasting=True))
    with _relay(tmp_path, []) as relay, pytest.raises(DeliveryError, match="no right to write"):
        relay.drain()
    assert "is told of no alerts any more: no right to write" in capsys.readouterr().err
    assert topic.written == []
