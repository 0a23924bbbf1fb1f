"""Topics of Kafka as a live source."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from citywatch.connections.kafka.address import Address, parse
from citywatch.connections.kafka.configuration import require
from citywatch.records.chunk import Chunk, Format, Origin, Part, Placing, faults_schema, records_schema
from citywatch.records.columns import Mask, lengths
from citywatch.records.lines import LONGEST
from citywatch.sources.inbox import Inbox, size_of
from citywatch.sources.kafka.partitions import Key, key_of, name
from citywatch.sources.model import Options, Source

if TYPE_CHECKING:
    from confluent_kafka import Message

    from citywatch.sources.kafka.beginning import Reached


@dataclass(frozen=True, slots=True)
class _Given:
    """What was given away in one chunk: how much memory it needs, and up to where it goes."""

    size: int
    upto: Mapping[Key, int]


class KafkaSource:
    """Topics of a cluster. Each message is a record of its own, and believed when it says when it was received.

    How far each partition is read goes with the records into the data directory, and is looked up there.
    """

    def __init__(self, address: Address) -> None:
        from citywatch.sources.kafka.session import Session  # noqa: PLC0415 - the client is optional

        self._address = address
        self._origin = Origin(address.name)
        self._inbox: Inbox[Message] = Inbox()
        self._session = Session(address, self._inbox)
        self._lock = threading.Lock()
        self._given: deque[_Given] = deque()
        self._parts: dict[Key, int] = {}
        self._reader = _stranger(address.name)
        self._reached: Reached = _nothing

    @property
    def name(self) -> str:
        """The address it was opened with."""
        return self._address.name

    @property
    def mappings(self) -> tuple[str, ...]:
        """What messages are taken for, each topic's."""
        return tuple(dict.fromkeys(self._address.mappings.values()))

    @property
    def bounded(self) -> bool:
        """A topic goes on."""
        return False

    @property
    def trouble(self) -> str | None:
        """Why nothing can be heard at present; None = it can."""
        return self._session.trouble

    def resume(self, reader: str, reached: Reached, say: Callable[[str], None]) -> None:
        """Read for a data directory of this name; `reached` looks up how far it has read each partition."""
        self._reader, self._reached, self._session.say = reader, reached, say

    def parts(self) -> Mapping[str, Part] | None:
        """The partitions that are read at present."""
        return self._session.partitions.parts()

    def chunks(self) -> Iterator[Chunk]:
        """What has come, as often as it is asked for. Raises SourceError when Kafka refuses for good, UsageError."""
        self._session.open(self._reader, self._reached)
        while messages := self._inbox.take():
            yield from self._chunks(messages)

    def committed(self, chunks: int) -> None:
        """So many more of the chunks, the oldest first, survive a power cut now."""
        with self._lock:
            safe = [self._given.popleft() for _ in range(chunks)]
        for given in safe:
            self._session.partitions.committed(given.upto)
            self._inbox.release(given.size)

    def close(self) -> None:
        """Leave. What is not committed is read again."""
        self._session.close()

    def _chunks(self, messages: Sequence[Message]) -> Iterator[Chunk]:
        """Messages as chunks, one for each mapping."""
        for mapping, ours in self._by_mapping(messages).items():
            keys, offsets = [key_of(message) for message in ours], [message.offset() or 0 for message in ours]
            upto = {key: offset + 1 for key, offset in zip(keys, offsets, strict=True)}
            with self._lock:
                self._given.append(_Given(size_of(ours), upto))
            yield self._chunk(ours, keys, offsets, upto, mapping)

    def _by_mapping(self, messages: Sequence[Message]) -> Mapping[str | None, Sequence[Message]]:
        if not self._address.mappings:
            return {None: messages}
        found: dict[str | None, list[Message]] = {}
        for message in messages:
            found.setdefault(self._address.mappings.get(message.topic() or ""), []).append(message)
        return found

    def _chunk(
        self,
        messages: Sequence[Message],
        keys: Sequence[Key],
        offsets: Sequence[int],
        upto: Mapping[Key, int],
        mapping: str | None,
    ) -> Chunk:
        raw = pa.array([message.value() for message in messages], pa.binary())
        good = np.asarray(raw.is_valid()) & (lengths(raw) <= LONGEST)
        records = pa.table([offsets, raw], schema=records_schema())
        return Chunk(
            self._origin,
            Format.JSON,
            records if good.all() else records.filter(pa.array(good)),
            faults=None if good.all() else _faults([messages[row] for row in np.flatnonzero(~good).tolist()]),
            mapping=mapping,
            ordinals=np.zeros(int(good.sum()), np.int64),
            placing=self._placing(messages, keys, good, upto),
        )

    def _placing(
        self, messages: Sequence[Message], keys: Sequence[Key], good: Mask, upto: Mapping[Key, int]
    ) -> Placing:
        # The same part has the same number in all chunks: neighbours can be put together.
        numbers = self._parts
        for key in upto:
            numbers.setdefault(key, len(numbers))
        parts = np.array([numbers[key] for key in keys], np.int64)
        now = time.time_ns() // 1_000_000
        stamps = np.array([stamp if kind else now for kind, stamp in (m.timestamp() for m in messages)], np.int64)
        cursors = {self._session.partitions.cursor(key): offset for key, offset in upto.items()}
        reached = {cursor: offset for cursor, offset in cursors.items() if cursor is not None}
        return Placing(tuple(map(name, numbers)), parts[good], parts[~good], stamps[good] * 1000, reached)


def _fault(message: Message) -> str | None:
    """Why a message is no record."""
    value = message.value()
    if value is None:
        return "no value: a tombstone"
    return f"longer than {LONGEST:,} bytes: {len(value):,}" if len(value) > LONGEST else None


def _faults(messages: Sequence[Message]) -> pa.Table:
    columns = [[m.offset() for m in messages], [_fault(m) for m in messages], [m.value() or b"" for m in messages]]
    return pa.table(columns, schema=faults_schema())


def _nothing(_: Sequence[str]) -> Mapping[str, int]:
    """Nothing has been read by somebody who has no data directory."""
    return {}


def _stranger(address: str) -> str:
    """A name for who reads without a data directory: the same each time."""
    return hashlib.sha256(address.encode()).hexdigest()[:12]


def open_kafka(text: str, options: Options) -> list[Source]:  # noqa: ARG001 - a message says itself when it came
    """The topics behind a `kafka://` address. Raises UsageError, SourceError."""
    address = parse(text)
    require()
    return [KafkaSource(address)]
