"""What a member of a consumer group tells Kafka, and what it does when Kafka does not hear it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from citywatch.connections.kafka.address import parse
from citywatch.sources.inbox import Inbox
from citywatch.sources.kafka.partitions import Partition
from citywatch.sources.kafka.session import Session


class Group:
    """Stands for a consumer: notes what it is told, and refuses it at once where `refusing`."""

    def __init__(self, *, refusing: bool = False) -> None:
        self.told: list[dict[int, int]] = []
        self._refusing = refusing

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:  # noqa: ARG002 - as the client's
        if self._refusing:
            raise KafkaException(KafkaError(KafkaError._NO_OFFSET))
        self.told.append({one.partition: one.offset for one in offsets})


def _session() -> Session:
    session = Session(parse("kafka://localhost/events"), Inbox())
    session.partitions.assign({("events", number): Partition("c", heard=9, safe=9) for number in (0, 1)})
    return session


def _tell(session: Session, group: Any) -> None:
    session._tell(group)


def test_kafka_is_told_once_what_is_safe() -> None:
    session, group = _session(), Group()
    for _ in range(3):
        _tell(session, group)
    assert group.told == [{0: 9, 1: 9}]


def test_what_kafka_refuses_later_it_is_told_again() -> None:
    session, group = _session(), Group()
    _tell(session, group)
    heard, missed = TopicPartition("events", 0, 9), TopicPartition("events", 1, 9)
    session._answered(None, [heard, missed])
    _tell(session, group)
    assert len(group.told) == 1
    session._answered(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), [missed])
    _tell(session, group)
    assert group.told == [{0: 9, 1: 9}, {1: 9}]


def test_what_kafka_refuses_at_once_it_is_told_again() -> None:
    session, group = _session(), Group()
    _tell(session, Group(refusing=True))
    _tell(session, group)
    assert group.told == [{0: 9, 1: 9}]


def test_after_a_pause_partitions_are_asked_about_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    session, asked, now = _session(), list[Any](), [0.0]
    keys = [("events", number) for number in range(10)]
    session.partitions.assign({key: Partition("c", heard=9, safe=9, end=9) for key in keys})
    session._reachable = True

    def end(key: Any) -> int:
        asked.append(key)
        now[0] += 0.2
        return 9

    monkeypatch.setattr(session, "_beginnings", SimpleNamespace(end=end))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(10):
        before = len(asked)
        session._look_again(cast(Any, None))
        assert len(asked) - before < 5, "messages are heard in between"
    assert asked == keys
    assert session.partitions.doubtful() == []
