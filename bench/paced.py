"""Events into a topic of Kafka: all of a file, or at a steady pace, and how long until that of alerts has what follows.

What the benches of latency of `run kafka://` and of `spark detect` share. Ten events in a thousand make an alert of
the plain rule `marked` of `rules/live`, ten pairs one of the correlation `paired`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.measure import percentile

RATE = 1000
"""Events a second."""
EVENTS, ALERTS = "events", "alerts"
"""The topics; of one partition each."""

_GROUP = 10
_PATIENCE_S = 180.0
_LINGER_S = 10.0


class Told(NamedTuple):
    """The first message about an alert: when the broker wrote it into the topic (its clock is this one's)."""

    at: float
    alert: dict[str, Any]


def made(servers: str, topic: str, partitions: int = 1) -> None:
    """Make a topic. That of alerts is stamped by the broker."""
    stamped = {"message.timestamp.type": "LogAppendTime"} if topic == ALERTS else {}
    admin = AdminClient({"bootstrap.servers": servers})
    for done in admin.create_topics([NewTopic(topic, partitions, 1, config=stamped)]).values():
        done.result(60)


def filled(servers: str, topic: str, events: Path, count: int) -> float:
    """Send the `count` events of a file, by source, in the order of their receipt: others would be backfill.

    Seconds until the broker had them all. What is sent again keeps its place.
    """
    with events.open("rb") as file:
        lines = sorted(file, key=lambda line: line.split(b'"receivedat":"', 1)[1][:30])
    much = {"linger.ms": 20, "queue.buffering.max.messages": 2 * count}
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, **much})
    began = time.perf_counter()
    for line in lines:
        producer.produce(topic, line.rstrip(), key=line.split(b'"source":"', 1)[1].split(b'"', 1)[0])
        producer.poll(0)
    if producer.flush(300):
        raise RuntimeError("Kafka does not take the events of the bench")
    return time.perf_counter() - began


@contextmanager
def listening(servers: str) -> Iterator[Consumer]:
    """A reader of the topic of alerts."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 10})
    reader.assign([TopicPartition(ALERTS, 0, 0)])
    yield reader
    reader.close()


def delays(servers: str, reader: Consumer, seconds: int, warm: float) -> dict[str, list[float]]:
    """Rule -> seconds from handing over the last event of an alert until the topic had it, without the first `warm`.

    Raises RuntimeError when alerts are missing.
    """
    _wait_for_first(servers, reader)
    sent = _send(servers, seconds)
    begin = min(sent.values()) + warm
    found: dict[str, list[float]] = {"marked": [], "paired": []}
    for told in _heard(reader, time.time() + _LINGER_S):
        last = max((sent[event["id"]] for event in told.alert["evidence"] if event["id"] in sent), default=0.0)
        if last > begin and told.alert["rule"] in found:
            found[told.alert["rule"]].append(told.at - last)
    wanted = RATE * (seconds - warm) / 100
    for rule, of_rule in found.items():
        if len(of_rule) < 0.98 * wanted:
            raise RuntimeError(f"only {len(of_rule)} of {wanted:.0f} alerts of {rule} came")
    return found


def words(of_rule: list[float]) -> tuple[str, float, float]:
    """How long it took, for people; and the median and the 99th percentile."""
    p50, p99 = percentile(of_rule, 0.5), percentile(of_rule, 0.99)
    return f"p50 {_brief(p50)}, p99 {_brief(p99)}", p50, p99


def _brief(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _wait_for_first(servers: str, reader: Consumer) -> None:
    """Until the first alert has come: then all is loaded."""
    producer, deadline = Producer({"bootstrap.servers": servers}), time.time() + _PATIENCE_S
    number = 0
    while time.time() < deadline:
        number += 1
        producer.produce(EVENTS, _event(f"first {number}", "marked", "first"))
        producer.flush(10)
        if reader.poll(1.0) is not None:
            return
    raise RuntimeError(f"no alert came within {_PATIENCE_S:.0f} s")


def _send(servers: str, seconds: int) -> Mapping[str, float]:
    """Events at their pace; when each was handed over, by id."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 1})
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for group in range(RATE * seconds // _GROUP):
        time.sleep(max(0.0, began + group * _GROUP / RATE - time.perf_counter()))
        for number in range(group * _GROUP, (group + 1) * _GROUP):
            label = {10: "marked", 20: "paired", 70: "paired"}.get(number % 100, "ok")
            device = f"pair-{number // 100}" if label == "paired" else f"s{number % 997}"
            producer.produce(EVENTS, _event(str(number), label, device))
            sent[str(number)] = time.time()
        producer.poll(0)
    producer.flush(30)
    return sent


def _event(id_: str, label: str, device: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    head = {"specversion": "1.0", "id": id_, "source": "bench", "type": "sensor.reading", "time": now}
    data = {"device_id": device, "sensor_kind": "noise", "value": 50.5, "label": label, "note": "x" * 80}
    return json.dumps({**head, "receivedat": now, "data": data}).encode()


def _heard(reader: Consumer, until: float) -> Iterator[Told]:
    """The first message about each alert."""
    seen: set[str] = set()
    while time.time() < until:
        message = reader.poll(0.2)
        if message is None or message.error() is not None:
            continue
        alert = json.loads(message.value() or b"")
        if alert["id"] not in seen:
            seen.add(alert["id"])
            yield Told(message.timestamp()[1] / 1000, alert)
