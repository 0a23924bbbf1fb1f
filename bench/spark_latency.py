"""A thousand events a second through `spark detect`: how long from the event topic to the alert topic.

From the moment at which an event was handed to Kafka until the alert topic has the alert whose last event it is. Ten in
a thousand make an alert by a plain rule, ten by a correlation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.measure import CITYWATCH, Line, cores, fresh, percentile
from bench.on_spark import RULES, broker, made, properties

RATE, SECONDS = 1000, 60
GROUP = 10
_WARM_S = 20.0
_PATIENCE_S = 180.0


def bench(scratch: Path) -> Iterator[Line]:
    """The rules `marked` and `paired` of `rules/live`."""
    with broker(scratch) as servers:
        made(servers, "events", 1)
        made(servers, "alerts", 1)
        with _job(servers, scratch), _reader(servers) as reader:
            _wait_for_first(servers, reader)
            sent = _send(servers)
            heard = _heard(reader, time.time() + 20)
    for rule, kind in (("marked", "plain rule"), ("paired", "correlation")):
        delays = [
            at - last for at, name, last in _of(heard, sent) if name == rule and last > min(sent.values()) + _WARM_S
        ]
        yield _line(kind, delays)


def _line(kind: str, delays: list[float]) -> Line:
    if len(delays) < RATE * (SECONDS - _WARM_S) / 100 * 0.9:
        raise RuntimeError(f"only {len(delays)} alerts of a {kind} came")
    p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
    what = f"`spark detect`, 1,000 events/s, event to alert topic, {kind}"
    return Line(what, f"p50 {p50:.2f} s, p99 {p99:.2f} s", "p50 1.5 s, p99 4 s", "-", p50 < 1.5 and p99 < 4)


@contextmanager
def _job(servers: str, scratch: Path) -> Iterator[None]:
    conf = [word for name, value in properties().items() for word in ("--conf", f"{name}={value}")]
    arguments = [f"kafka://{servers}/events", "--data", fresh(scratch / "live-spark"), "--rules", RULES / "live"]
    arguments += ["--to", f"kafka://{servers}/alerts", "--every", "0 seconds", "--master", f"local[{cores()}]", *conf]
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with (scratch / "spark.log").open("wb") as log:
        command = [str(word) for word in (CITYWATCH, "spark", "detect", *arguments)]
        job = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield
    finally:
        job.send_signal(signal.SIGINT)
        try:
            job.wait(60)
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)


@contextmanager
def _reader(servers: str) -> Iterator[Consumer]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 10})
    reader.assign([TopicPartition("alerts", 0, 0)])
    yield reader
    reader.close()


def _wait_for_first(servers: str, reader: Consumer) -> None:
    """Until the job has said something: then all of it is loaded."""
    producer, deadline = Producer({"bootstrap.servers": servers}), time.time() + _PATIENCE_S
    for number in range(1, 1000):
        producer.produce("events", _event(f"first {number}", "marked", "first"))
        producer.flush(10)
        if reader.poll(1.0) is not None:
            return
        if time.time() > deadline:
            break
    raise RuntimeError("the job says nothing; see spark.log")


def _send(servers: str) -> dict[str, float]:
    """Events at their pace; when each was handed over, by id."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 1})
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for group in range(RATE * SECONDS // GROUP):
        time.sleep(max(0.0, began + group * GROUP / RATE - time.perf_counter()))
        for number in range(group * GROUP, (group + 1) * GROUP):
            label = {10: "marked", 20: "paired", 70: "paired"}.get(number % 100, "ok")
            device = f"pair-{number // 100}" if label == "paired" else f"s{number % 997}"
            producer.produce("events", _event(str(number), label, device))
            sent[str(number)] = time.time()
        producer.poll(0)
    producer.flush(30)
    return sent


def _event(id_: str, label: str, device: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": "bench",
        "type": "sensor.reading",
        "time": now,
        "receivedat": now,
    }
    return json.dumps({**event, "data": {"device_id": device, "label": label, "value": 50.5}}).encode()


def _heard(reader: Consumer, until: float) -> list[tuple[float, bytes]]:
    found = []
    while time.time() < until:
        message = reader.poll(0.2)
        if message is not None and message.error() is None:
            found.append((message.timestamp()[1] / 1000, message.value() or b""))
    return found


def _of(heard: list[tuple[float, bytes]], sent: dict[str, float]) -> Iterator[tuple[float, str, float]]:
    """(when the topic had it, rule, when its last event was sent) of the first message about each alert."""
    told: set[str] = set()
    for at, value in heard:
        alert = json.loads(value)
        ids = [event["id"] for event in alert["evidence"] if event["id"] in sent]
        if ids and alert["id"] not in told:
            told.add(alert["id"])
            yield at, alert["rule"], max(sent[id_] for id_ in ids)
