"""Messages of an MQTT broker as a live source."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from citywatch.records.chunk import Chunk, Format, Origin, faults_schema, records_schema
from citywatch.records.lines import LONGEST
from citywatch.sources.inbox import Inbox, size_of
from citywatch.sources.model import Options, Source
from citywatch.sources.mqtt.address import Address, parse
from citywatch.sources.mqtt.message import Message
from citywatch.sources.mqtt.session import Session


class MqttSource:
    """A topic filter at a broker. Each message is a record of its own: one that comes again is the same one.

    The broker is told that a message is safe when `committed` says so, and sends all others again.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._origin = Origin(address.name, replay=False)
        self._inbox: Inbox[Message] = Inbox()
        self._session = Session(address, self._inbox)
        self._lock = threading.Lock()
        self._given: deque[list[Message]] = deque()

    @property
    def name(self) -> str:
        """The address it was opened with."""
        return self._address.name

    @property
    def mappings(self) -> tuple[str, ...]:
        """What every message is taken for."""
        return (self._address.mapping,) if self._address.mapping else ()

    @property
    def bounded(self) -> bool:
        """A broker goes on."""
        return False

    @property
    def trouble(self) -> str | None:
        """Why nothing can be heard at present; None = it can."""
        return self._session.trouble

    def chunks(self) -> Iterator[Chunk]:
        """What has come, as often as it is asked for. Raises SourceError when the broker refuses for good."""
        self._session.open()
        while messages := self._inbox.take():
            with self._lock:
                self._given.append(messages)
            yield self._chunk(messages)

    def committed(self, chunks: int) -> None:
        """So many more of the chunks, the oldest first, survive a power cut now."""
        with self._lock:
            safe = [self._given.popleft() for _ in range(chunks)]
        for messages in safe:
            self._session.acknowledge(messages)
            self._inbox.release(size_of(messages))

    def close(self) -> None:
        """Leave the broker, which keeps what comes meanwhile."""
        self._session.close()

    def _chunk(self, messages: Sequence[Message]) -> Chunk:
        good = [message.payload for message in messages if len(message.payload) <= LONGEST]
        long = [message.payload for message in messages if len(message.payload) > LONGEST]
        # Every message is line 1 of its own, so that a wrong one that comes again is kept once.
        records = pa.table([np.ones(len(good), np.int64), pa.array(good, pa.binary())], schema=records_schema())
        return Chunk(
            self._origin,
            Format.JSON,
            records,
            faults=_too_long(long) if long else None,
            mapping=self._address.mapping,
            ordinals=np.zeros(len(good), np.int64),
        )


def _too_long(payloads: Sequence[bytes]) -> pa.Table:
    reasons = [f"longer than {LONGEST:,} bytes: {len(payload):,}" for payload in payloads]
    return pa.table([[1] * len(payloads), reasons, payloads], schema=faults_schema())


def open_mqtt(text: str, options: Options) -> list[Source]:  # noqa: ARG001 - a message is of the moment when it comes
    """The subscription behind an `mqtt://` or `mqtts://` address. Raises UsageError, SourceError."""
    return [MqttSource(parse(text))]
