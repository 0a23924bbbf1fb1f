"""What the topics still hold of the time before the job goes on: rules that are new or changed read it first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from citywatch.connections.kafka import faults
from citywatch.connections.kafka.configuration import client
from citywatch.engine.spark.conditions import Parse
from citywatch.engine.spark.identity import Known
from citywatch.engine.spark.reading import of_log
from citywatch.errors import SourceError
from citywatch.stores.identity import Identities, Verdict
from citywatch.stores.sorter import Sorter

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

ORDER = ("received_at", "time", "source", "id")
_ROWS = 20_000
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class TopicsPast:
    """Topics up to where the checkpoint stands.

    Attributes
    ----------
    given
        Properties of the client that a person has set.
    ends
        (topic, partition, offset): what comes before is the past.
    mappings
        What the messages of a topic are taken for.
    """

    servers: str
    given: Mapping[str, str]
    ends: Sequence[tuple[str, int, int]]
    mappings: Mapping[str, str] = field(default_factory=dict)

    def events(self, parse: Parse, since: int, disorder: int) -> tuple[bool, Iterator[pa.Table]]:
        """`conditions.Past`. Raises SourceError."""
        records = _Records(self, since)
        return records.complete, _in_order(self._parsed(records, parse, since, disorder))

    def _parsed(self, records: _Records, parse: Parse, since: int, disorder: int) -> Iterator[pa.Table]:
        latest: dict[str, int] = {}
        for rows in records:
            feed = str(rows["feed"][0].as_py())
            events = parse(of_log(rows, self.mappings.get(feed.rpartition("/")[0]))).events
            received = events["received_at"].cast(pa.int64()).to_numpy()
            if not len(events):
                continue
            heard = np.maximum.accumulate(np.concatenate(([latest.get(feed, since)], received)))
            latest[feed] = int(heard[-1])
            judged = (received >= heard[:-1] - disorder) & (received >= since) & ~events["stale"].to_numpy()
            yield events.filter(pa.array(judged))


def _in_order(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    with tempfile.TemporaryDirectory(prefix="citywatch-past-") as directory:
        place = Path(directory)
        known = Known(Identities(place / "identities"))
        with Sorter(place, ORDER) as sorter:
            for part in parts:
                sorter.add(part)
            for events in sorter.batches(_ROWS):
                new = events.filter(pa.array(known.judge(events) == Verdict.NEW))
                known.remember(new)
                yield new


class _Records:
    """Records of the past, partition by partition, in tables with the columns of `reading.INPUT`."""

    def __init__(self, past: TopicsPast, since: int) -> None:
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - only where it is needed

        self._past = past
        try:
            with _consumer(past) as consumer:
                asked = [TopicPartition(topic, number, max(since // 1000, 0)) for topic, number, _ in past.ends]
                found = consumer.offsets_for_times(asked, timeout=_PATIENCE_S)
                low = [consumer.get_watermark_offsets(part, timeout=_PATIENCE_S)[0] for part in asked]
        except KafkaException as error:
            raise _failed(error) from error
        begins = [end if part.offset < 0 else part.offset for part, (*_, end) in zip(found, past.ends, strict=True)]
        self._parts = list(zip(past.ends, begins, strict=True))
        self.complete = all(not first or begin > first for begin, first in zip(begins, low, strict=True))
        """Whether nothing was deleted that would be asked for."""

    def __iter__(self) -> Iterator[pa.Table]:
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - only where it is needed

        try:
            with _consumer(self._past) as consumer:
                for (topic, number, end), begin in self._parts:
                    if begin < end:
                        consumer.assign([TopicPartition(topic, number, begin)])
                        yield from _until(consumer, end)
        except KafkaException as error:
            raise _failed(error) from error


def _until(consumer: Consumer, end: int) -> Iterator[pa.Table]:
    """The messages of the assigned partition before offset `end`."""
    ended = False
    while not ended:
        messages = consumer.consume(_ROWS, timeout=_PATIENCE_S)
        if not messages:
            raise SourceError("the past of a topic cannot be read: no answer", hint="is the broker up?")
        fine = [message for message in messages if message.error() is None]
        ended = (len(fine) < len(messages) and _at_end(messages)) or any(_offset(m) >= end - 1 for m in fine)
        if rows := [message for message in fine if _offset(message) < end]:
            yield _table(rows)


def _at_end(messages: Sequence[Message]) -> bool:
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - only where it is needed

    errors = [error for message in messages if (error := message.error()) is not None]
    if wrong := [error for error in errors if error.code() != KafkaError._PARTITION_EOF]:
        raise KafkaException(wrong[0])
    return bool(errors)


def _table(messages: Sequence[Message]) -> pa.Table:
    name = f"{messages[0].topic()}/{messages[0].partition()}"
    return pa.table(
        {
            "feed": [name] * len(messages),
            "place": pa.array([_offset(m) for m in messages], pa.int64()),
            "arrived": pa.array([m.timestamp()[1] * 1000 for m in messages], pa.int64()),
            "name": [name] * len(messages),
            "raw": pa.array([m.value() for m in messages], pa.binary()),
        }
    )


def _offset(message: Message) -> int:
    return message.offset() or 0


class _consumer:  # noqa: N801 - reads as a statement
    """A consumer of no group's, closed at the end."""

    def __init__(self, past: TopicsPast) -> None:
        from confluent_kafka import Consumer  # noqa: PLC0415 - only where it is needed

        ours = client(past.servers, past.given, group_id="citywatch-past", enable_auto_commit=False)
        self._consumer = Consumer({**ours, "enable.partition.eof": True, "auto.offset.reset": "earliest"})

    def __enter__(self) -> Consumer:
        return self._consumer

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def _failed(error: Any) -> SourceError:
    return SourceError(f"the past of a topic cannot be read: {faults.words(faults.of(error))}")
