"""The alert topic: a message for each alert that is new or has grown, under the alert's id."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from citywatch.connections.kafka import faults
from citywatch.connections.kafka.address import Address
from citywatch.connections.kafka.configuration import client, properties
from citywatch.engine.spark.telling import lines
from citywatch.engine.spark.told import Told
from citywatch.errors import DeliveryError, UsageError

PATIENCE_S = 120.0
"""So long a broker may be away before the job ends; it says the batch again when it is started again."""


class TopicTold:
    """Told of a batch, returns when the brokers have it. A batch that is told again comes again: readers go by id."""

    def __init__(self, address: Address) -> None:
        self._topic = address.topics[0]
        given = {n: v for n, v in properties(address.configuration).items() if not n.startswith("java.")}
        ours = client(address.servers, given, enable_idempotence=True, delivery_timeout_ms=int(PATIENCE_S * 1000))
        try:
            self._producer = Producer({**ours, "linger.ms": 5, "compression.type": "lz4"})
        except KafkaException as error:
            raise faults.explained(address.name, error, UsageError) from error
        self._refused: KafkaError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(1.0)

    def __call__(self, told: Told) -> None:
        """Send the facts of a batch. Raises DeliveryError."""
        for id_, line in zip(told.facts["id"].to_pylist(), lines(told.facts), strict=True):
            self._send(str(id_), line)
        left = self._producer.flush(PATIENCE_S)
        if left or self._refused:
            words = faults.words(self._refused) if self._refused else f"{left:,} messages are not acknowledged"
            raise DeliveryError(f"the topic {self._topic} does not take the alerts of a batch: {words}")

    def _send(self, id_: str, line: str) -> None:
        while True:
            try:
                self._producer.produce(self._topic, line.encode(), id_, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.1)  # the client's queue is full: let some of it go
            except KafkaException as error:
                raise DeliveryError(f"the topic {self._topic}: {faults.words(faults.of(error))}") from error
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._refused = self._refused or error
