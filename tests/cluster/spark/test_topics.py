"""`citywatch spark detect` from a topic of Kafka, and to one, with faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from citywatch.stores.desk import Desk
from tests.cluster.cassandra.agreement import key_of, same_alerts
from tests.cluster.cassandra.keyspaces import SECRET, Keyspace, keyspace
from tests.cluster.servers import cassandra
from tests.cluster.spark import city
from tests.cluster.spark.running import Job, alerts, behind
from tests.cluster.topics import Cluster, Sent
from tests.conformance.cases import Said
from tests.conformance.command_line import said

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EVENTS = 10_000


@pytest.fixture
def store() -> Iterator[Keyspace]:
    with keyspace(cassandra()) as made:
        yield made


@pytest.mark.parametrize("starts", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_job_whose_worker_and_then_all_of_it_is_killed_says_what_one_machine_says(
    cluster: Cluster, store: Keyspace, tmp_path: Path, starts: int
) -> None:
    """It is started so often after the kill; the last messages come when it is started, or when it reads again."""
    rules, lines = city.rules(tmp_path / "rules"), city.events(EVENTS, seed=2)
    ends = [city.end(lines, number) for number in range(2)]
    city.write(tmp_path / "in", [*lines, *ends])
    said("run", tmp_path / "in" / "*.ndjson", "--once", "--rules", rules, "--data", tmp_path / "one")
    topic, told, refused, data = cluster.make(partitions=2), cluster.make(), cluster.make(), tmp_path / "two"
    commits, offsets = data / "spark" / "detect" / "commits", data / "spark" / "detect" / "offsets"
    besides = ("--to", cluster.url(told), "--rejected-to", cluster.url(refused), "--store", store.url)
    read = (cluster.url(topic), "--data", data, "--rules", rules, "--once", "--metrics-port", 0)
    command = (*read, "--shards", 2, *besides, "--at-once")
    cluster.send(topic, lines[: EVENTS // 4 * 3], key=_device)
    cluster.send(topic, [None, b"\xff no JSON"], partition=1)

    job = Job(*command, EVENTS // 5, log=tmp_path / "log", environment=SECRET)
    job.wait_for((offsets / "1").exists)
    job.wait_for(job.kill_worker)
    assert not (commits / "1").exists(), "the batch was over before its worker was killed"
    job.wait_for((offsets / "2").exists)
    shown = job.metrics()
    job.kill()
    assert (commits / "1").exists(), "the batch of the killed worker was not tried again"
    assert not (commits / "2").exists(), "the batch was over before the job was killed"
    before, slow = alerts(data), behind(data)
    cluster.send(topic, lines[EVENTS // 4 * 3 : EVENTS // 8 * 7], key=_device)
    again = Job(*command, EVENTS, log=tmp_path / "log", environment=SECRET)
    if starts > 1:
        again.wait_for((offsets / "3").exists)
    cluster.send(topic, lines[EVENTS // 8 * 7 :], key=_device)
    for number, end in enumerate(ends):
        cluster.send(topic, [end], partition=number)
    assert (offsets / "3").exists() == (starts > 1)
    last = [again.last_line()]
    last += [Job(*command, EVENTS, log=tmp_path / "log", environment=SECRET).last_line() for _ in range(starts - 1)]

    expected, own = alerts(tmp_path / "one"), behind(data)
    assert 100 < len(before) < len(expected)
    assert any(int(alert.evidence[0][1]) > EVENTS // 16 * 15 for alert in expected.values() if alert.rule == "hit")
    assert all(line["read"] >= EVENTS // 10 for line in last)
    assert sum(line["alerts"] for line in last) == len(expected) - len(before) + len(own - slow)
    assert alerts(data) == expected
    assert {alert.id: alert for alert in map(_said, _read(cluster, told))} == expected
    same_alerts(store, data, key_of(data))
    with Desk(data / "desk.sqlite") as desk:
        rejected = {record["id"]: record["reason"] for record in desk.rejected()}
    assert len(rejected) == EVENTS // 1000 + 2
    assert {key: json.loads(value)["reason"] for key, value in cluster.messages(refused)} == rejected
    looked_after(shown, cluster.url(topic), store.url)


def looked_after(shown: dict[str, float], source: str, store: str) -> None:
    """Fails where the page of a job in its third batch does not say how it and its store stand."""
    assert shown["citywatch_spark_batches_total"] >= 1
    assert shown['citywatch_records_total{outcome="events"}'] >= EVENTS // 10
    assert sum(n for name, n in shown.items() if name.startswith(f'citywatch_source_lag{{source="{source}"')) > 0
    assert shown["citywatch_clock_lag_seconds"] > 24 * 3600, "these events are of the past"
    assert shown["citywatch_alert_delay_seconds_count"] == 0, "so nobody calls their alerts late"
    assert shown[f'citywatch_store_up{{store="{store}"}}'] == 1
    assert shown[f'citywatch_store_delay_seconds{{store="{store}"}}'] >= 0
    assert shown[f'citywatch_store_behind{{store="{store}",what="alerts"}}'] >= 0


def _device(line: Sent) -> str | None:
    try:
        record: dict[str, str] = json.loads(line or "")
    except ValueError:
        return None
    return record.get("source")


def _read(cluster: Cluster, topic: str) -> list[str]:
    """The messages of a topic's one partition."""
    settings = {"bootstrap.servers": cluster.address, "group.id": topic, "enable.partition.eof": True}
    consumer, found = Consumer(settings), list[str]()
    consumer.assign([TopicPartition(topic, 0, 0)])
    while True:
        message = consumer.poll(30)
        assert message is not None, "the topic cannot be read"
        if message.error():
            consumer.close()
            return found
        found.append((message.value() or b"").decode())


def _said(message: str) -> Said:
    return Said.of_json(json.loads(message))
