"""Reading a part of a topic that is known beforehand: from an offset to another, by nobody's group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from citywatch.connections.kafka import faults
from citywatch.connections.kafka.configuration import client
from citywatch.errors import SourceError

AT_ONCE = 20_000
_PATIENCE_S = 60.0
_LOOK_S = 0.2

Span = tuple[str, int, int, int]
"""Topic, partition, first offset, and the offset before which it ends."""


class Spans:
    """A connection; a context manager that raises SourceError for what goes wrong with Kafka."""

    def __init__(self, servers: str, given: Mapping[str, str]) -> None:
        self._servers = servers
        ours = client(servers, given, group_id="citywatch-spans", enable_auto_commit=False)
        self._consumer = Consumer({**ours, "enable.partition.eof": True, "auto.offset.reset": "earliest"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._consumer.close()
        if isinstance(error, KafkaException):
            raise faults.explained(self._servers, error, SourceError) from error

    def whole(self, topic: str) -> list[Span]:
        """What a topic holds now."""
        found = self._consumer.list_topics(topic, timeout=_PATIENCE_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return [(topic, number, *self.ends(topic, number)) for number in sorted(found.partitions)]

    def ends(self, topic: str, number: int) -> tuple[int, int]:
        """The first offset that a partition still has, and the next that it will give."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_PATIENCE_S)
        return low, high

    def since(self, topic: str, number: int, at: int) -> int | None:
        """The first offset whose timestamp is not before `at` (ms); None where there is none."""
        (found,) = self._consumer.offsets_for_times([TopicPartition(topic, number, max(at, 0))], timeout=_PATIENCE_S)
        return found.offset if found.offset >= 0 else None

    def read(self, span: Span) -> Iterator[list[Message]]:
        """The messages of a span, some at a time."""
        topic, number, begin, end = span
        ended = begin >= end
        if not ended:
            self._consumer.assign([TopicPartition(topic, number, begin)])
        deadline = time.monotonic() + _PATIENCE_S
        while not ended:
            messages = self._consumer.consume(AT_ONCE, timeout=_LOOK_S)  # waits so long where there are fewer
            if messages:
                deadline = time.monotonic() + _PATIENCE_S
            elif time.monotonic() > deadline:
                raise SourceError(f"{self._servers}: no answer", hint="is the broker up? `citywatch doctor --cluster`")
            fine = [message for message in messages if message.error() is None]
            ended = _ended(messages) or any(offset(message) >= end - 1 for message in fine)
            if wanted := [message for message in fine if offset(message) < end]:
                yield wanted


def _ended(messages: Sequence[Message]) -> bool:
    errors = [error for message in messages if (error := message.error()) is not None]
    if wrong := [error for error in errors if error.code() != KafkaError._PARTITION_EOF]:
        raise KafkaException(wrong[0])
    return bool(errors)


def offset(message: Message) -> int:
    """Where a message stands in its partition."""
    return message.offset() or 0
