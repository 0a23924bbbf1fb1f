"""Events that go on coming while something is broken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from tests.cluster.topics import Cluster, by_device
from tests.mqtt.broker import until

AT_ONCE = 5
_PAUSE_S = 0.05


class Traffic:
    """Numbered messages to a topic, a hundred a second, until the block ends; what no broker takes yet is kept.

    `make` gives the text of a number, and `key` what it is about; default: the device of an event.
    """

    def __init__(
        self, cluster: Cluster, topic: str, make: Callable[[int], str], key: Callable[[str], str | None] = by_device
    ) -> None:
        self.sent = 0
        self._make, self._topic, self._key = make, topic, key
        self._refused: list[KafkaError] = []
        patient = {"enable.idempotence": True, "message.timeout.ms": 280_000, "linger.ms": 5, "log_level": 0}
        patient["topic.metadata.refresh.interval.ms"] = 500  # partitions that are added are used
        self._producer = Producer({**patient, "bootstrap.servers": cluster.address})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, by: int = 40) -> None:
        """Wait until so many more are sent."""
        wanted = self.sent + by
        until(lambda: self.sent >= wanted)

    def end(self) -> int:
        """Send no more, and wait until the broker has all; how many there are."""
        self.__exit__()
        assert self._producer.flush(60) == 0
        assert not self._refused
        return self.sent

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            for number in range(self.sent, self.sent + AT_ONCE):
                text = self._make(number)
                self._producer.produce(self._topic, text, self._key(text), on_delivery=self._delivered)
            self.sent += AT_ONCE
            self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._refused.append(error)
