"""Messages to a topic of Kafka: the key is the device, so that its messages keep their order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from citywatch.errors import CitywatchError

if TYPE_CHECKING:
    import pyarrow as pa

_DEVICE = ("device_id", "drone_id", "camera_id", "sensor_id", "source")
_FLUSH_S = 60.0
_POLL_S = 0.1


def produce(chunks: Iterable[pa.Array[Any]], to: str) -> int:
    """Send every line, and return how many Kafka has. Raises CitywatchError when it does not take one."""
    from confluent_kafka import Producer

    from citywatch.connections.kafka.address import EVENTS, parse
    from citywatch.connections.kafka.configuration import client, properties

    address = parse(to, ("config",), EVENTS)
    producer = Producer(client(address.servers, properties(address.configuration), enable_idempotence=True))
    faults: list[Any] = []
    sent = 0
    for lines in chunks:
        for line in filter(None, lines.to_pylist()):
            _put(producer, address.topics[0], line, faults)
            sent += 1
        producer.poll(0)
        _check(faults, to)
    left = producer.flush(_FLUSH_S)
    _check(faults, to)
    if left:
        raise CitywatchError(f"{to}: {left:,} messages have no answer", hint="is the broker running?")
    return sent


def _put(producer: Any, topic: str, line: str, faults: list[Any]) -> None:
    def told(error: Any, _: Any) -> None:
        if error is not None:
            faults.append(error)

    while True:
        try:
            producer.produce(topic, line, key=key_of(line), on_delivery=told)
        except BufferError:
            producer.poll(_POLL_S)  # until there is room for another
        else:
            return


def key_of(line: str) -> str | None:
    """The device that a message is of; None where it names none."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    data = said.get("data")
    parts = [data, said] if isinstance(data, dict) else [said]
    return next((str(part[name]) for name in _DEVICE for part in parts if part.get(name)), None)


def _check(faults: list[Any], to: str) -> None:
    if faults:
        raise CitywatchError(f"{to}: {faults[0].str()}", hint="does the topic exist, and may this user write there?")
