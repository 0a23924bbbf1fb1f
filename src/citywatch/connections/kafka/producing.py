"""Writing to topics: each message is acknowledged by all replicas, and is there once when the network fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from citywatch.connections.kafka import configuration, faults

PATIENCE_S = 30.0

_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
_LASTING = frozenset(faults.HINTS)


class Outgoing(NamedTuple):
    """One message."""

    key: str | None
    value: bytes


Numbered = Sequence[tuple[int, Outgoing]]
"""Messages with the places where they stood among those to be written."""


class UnwrittenError(Exception):
    """Messages that may not have arrived: the same ones are to be written again. `hint` is for what does not pass.

    `usage`: what does not pass is a property that a person has set wrongly.
    """

    def __init__(self, why: str, hint: str = "", *, lasting: bool = False, usage: bool = False) -> None:
        super().__init__(why)
        self.hint = hint
        self.lasting = lasting
        self.usage = usage


class Producing:
    """A producer that waits for the acknowledgement of what it writes. A context manager.

    Parameters
    ----------
    servers
        `host:port,…`
    given
        Properties that a person has set (`configuration.properties`).
    patience
        Seconds without an acknowledgement after which a message counts as unwritten.
    """

    def __init__(self, servers: str, given: Mapping[str, str], *, patience: float = PATIENCE_S) -> None:
        self._servers, self._given, self._patience = servers, given, patience
        self._producer: Producer | None = None
        self._heard, self._worked = faults.Heard(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer = None

    def write(self, topic: str, messages: Iterable[Outgoing]) -> dict[int, str]:
        """Write messages and wait until they are safe; in their order by key, but for what has to be written in parts.

        Returns the number of each message that Kafka will never take, and why. Raises UnwrittenError; then some of them
        may have been written.
        """
        return self._halved(topic, list(enumerate(messages)))

    def _halved(self, topic: str, messages: Numbered) -> dict[int, str]:
        """Kafka refuses as a whole what came in one batch: only what it refuses alone is too large."""
        refused = self._tried(topic, messages)
        if len(messages) == 1 or not refused:
            return refused
        again = [(number, message) for number, message in messages if number in refused]
        middle = len(again) // 2
        return self._halved(topic, again[:middle]) | self._halved(topic, again[middle:])

    def _tried(self, topic: str, messages: Numbered) -> dict[int, str]:
        refused: dict[int, str] = {}
        unwritten: list[KafkaError] = []

        def told(number: int, error: KafkaError | None, _: object) -> None:
            if error is not None and error.code() in _TOO_LARGE:
                refused[number] = faults.words(error)
            elif error is not None:
                unwritten.append(error)

        try:
            producer = self._opened()
            for number, message in messages:
                _produce(producer, topic, message, partial(told, number))
            left = producer.flush(2 * self._patience)
        except KafkaException as error:
            self._failed(faults.of(error))
            raise self._unwritten(faults.of(error)) from error
        if unwritten or left:
            self._producer = None
            raise self._unwritten(unwritten[0] if unwritten else None)
        self._heard, self._worked = faults.Heard(), True
        return refused

    def _opened(self) -> Producer:
        if self._producer is None:
            settings = {"linger.ms": "5", "compression.type": "lz4", "message.max.bytes": f"{20 << 20}", **self._given}
            # A topic that there is not is an error soon: where brokers make topics by themselves, they are quick.
            settings = {"topic.metadata.propagation.max.ms": "5000", **settings}
            ours = {"enable.idempotence": True, "message.timeout.ms": round(self._patience * 1000)}
            made = configuration.client(self._servers, settings) | ours
            self._producer = Producer({**made, "error_cb": self._failed})
        return self._producer

    def _failed(self, error: KafkaError) -> None:
        self._heard(error)
        if error.fatal():
            self._producer = None

    def _unwritten(self, error: KafkaError | None) -> UnwrittenError:
        """What is wrong with a connection from the beginning stays; later on it may pass."""
        first = error or KafkaError(KafkaError._TIMED_OUT)
        cause = self._heard.cause(first)
        lasting = cause.code() in _LASTING and (cause is first or not self._worked)
        hint = faults.HINTS.get(cause.code(), "")
        usage = faults.wrongly_set(cause)
        return UnwrittenError(f"{self._servers}: {faults.words(cause)}", hint, lasting=lasting, usage=usage)


def _produce(producer: Producer, topic: str, message: Outgoing, told: Callable[[KafkaError | None, Any], None]) -> None:
    """Hand a message over, waiting while too many are under way."""
    while True:
        try:
            producer.produce(topic, message.value, key=message.key, on_delivery=told)
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            if faults.of(error).code() not in _TOO_LARGE:
                raise
            told(faults.of(error), None)
            return
        else:
            producer.poll(0)
            return
