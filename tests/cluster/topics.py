"""Topics of one's own at the Kafka of the tests, and what is sent to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.cluster.servers import kafka
from tests.mqtt.broker import until

Sent = str | bytes | None


class Cluster:
    """What tests do at a broker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._admin = AdminClient({"bootstrap.servers": address, "log_level": 0})

    def make(self, name: str = "", partitions: int = 1, **settings: str) -> str:
        """A topic; its name."""
        name = name or f"t-{uuid4().hex[:12]}"
        made = NewTopic(name, partitions, 1, config={key.replace("_", "."): text for key, text in settings.items()})
        for done in self._admin.create_topics([made]).values():
            done.result(30)
        return name

    def grow(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        for done in self._admin.create_partitions([NewPartitions(name, partitions)]).values():
            done.result(30)

    def drop(self, name: str) -> None:
        """Delete a topic; it is gone a little later than that is confirmed."""
        for done in self._admin.delete_topics([name]).values():
            done.result(30)
        until(lambda: name not in self._admin.list_topics(timeout=30).topics)

    def end(self, name: str, partition: int) -> int:
        """Offset of the next message of a partition."""
        asking = Consumer({"bootstrap.servers": self.address, "group.id": "nobody"})
        _, high = asking.get_watermark_offsets(TopicPartition(name, partition), 30)
        asking.close()
        return high

    def messages(self, name: str) -> list[tuple[str | None, str]]:
        """(key, value) of all that a topic holds, partition by partition."""
        found = [(message.key(), message.value()) for message in self._all(name)]
        return [(key.decode() if key else None, (value or b"").decode()) for key, value in found]

    def stamped(self, name: str) -> list[tuple[int, str]]:
        """(timestamp in ms, value) of all that a topic holds, partition by partition."""
        return [(message.timestamp()[1], (message.value() or b"").decode()) for message in self._all(name)]

    def _all(self, name: str) -> Iterator[Message]:
        asking = Consumer({"bootstrap.servers": self.address, "group.id": "nobody", "enable.partition.eof": True})
        partitions = list(self._admin.list_topics(name, timeout=30).topics[name].partitions)
        asking.assign([TopicPartition(name, number, 0) for number in partitions])
        left = len(partitions)
        while left:
            message = asking.poll(30)
            assert message is not None
            if (error := message.error()) is None:
                yield message
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left -= 1
        asking.close()

    def values(self, name: str) -> list[str]:
        """The values of all that a topic holds."""
        return [value for _, value in self.messages(name)]

    def delete_before(self, name: str, offset: int) -> None:
        """Let the first partition begin there, as when its retention is over."""
        for done in self._admin.delete_records([TopicPartition(name, 0, offset)]).values():
            done.result(30)

    def send(
        self,
        name: str,
        messages: Sequence[Sent],
        *,
        key: Callable[[Sent], str | None] = lambda _: None,
        partition: int = -1,
        stamp: int = 0,
    ) -> None:
        """Messages, in their order by key. `stamp` is their timestamp in ms; 0 = now."""
        faults: list[object] = []
        settings: dict[str, str | int | float] = {
            "bootstrap.servers": self.address,
            "enable.idempotence": True,
            "linger.ms": 5,
            "log_level": 3,
        }
        settings["message.max.bytes"] = 20_000_000
        producer = Producer(settings)
        for number, message in enumerate(messages):
            producer.produce(
                name,
                message,
                key=key(message),
                partition=partition,
                timestamp=stamp,
                on_delivery=lambda error, _: faults.append(error) if error else None,
            )
            if number % 5_000 == 4_999:
                producer.flush(30)
        assert producer.flush(30) == 0
        assert not faults

    def url(self, *topics: str, **options: str) -> str:
        """The address of topics."""
        query = "&".join(f"{name.rstrip('_')}={text}" for name, text in options.items())
        return f"kafka://{self.address}/{','.join(topics)}{'?' if query else ''}{query}"


def by_device(message: Sent) -> str | None:
    """The key of an event: its device, or else its source."""
    assert isinstance(message, str)
    event = json.loads(message)
    return str(event["data"].get("device_id") or event["source"])


@contextmanager
def topic() -> Iterator[tuple[str, Callable[[Sequence[str]], None]]]:
    """The address of a new topic, and what sends to it."""
    cluster = Cluster(kafka())
    name = cluster.make()
    yield cluster.url(name), lambda lines: cluster.send(name, list(lines))
