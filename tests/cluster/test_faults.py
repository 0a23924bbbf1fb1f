"""Faults, each with traffic before, while and after: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deploy.servers.kafka_server import Kafka
from tests.cluster.listening import listening, refused, stored
from tests.cluster.running import Run, born, citywatch, facts, read, status
from tests.cluster.test_reading import OLDER, PERSON, event
from tests.cluster.topics import Cluster
from tests.cluster.traffic import Traffic
from tests.cluster.watching import Up
from tests.conformance.examples import document
from tests.mqtt.broker import until

pytestmark = pytest.mark.cluster


def ids(data: Path) -> list[int]:
    """Ids of all events, in order of number."""
    return sorted(int(str(row[0])) for row in stored(data))


def test_a_partition_that_is_added_is_read_from_its_first_message(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.make()
    with listening(tmp_path, cluster.url(name, from_="latest")) as heard, Traffic(cluster, name, event) as traffic:
        until(lambda: len(ids(tmp_path)) >= 20)
        cluster.grow(name, 3)
        before = len(ids(tmp_path))
        until(lambda: set(heard.source.parts() or {}) == {f"{name}/{number}" for number in range(3)})
        traffic.more()
        sent = traffic.end()
        heard.wait(sent)
        assert heard.engine.status()["counts"]["backfill"] == 0
        assert all(cluster.end(name, number) > 0 for number in range(3)), "each partition has messages"
    assert 20 <= before < sent
    assert ids(tmp_path) == list(range(sent))


def test_readers_that_share_a_group_take_over_from_each_other_without_loss_or_doubling(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make(partitions=4)
    address = cluster.url(name, group=f"shared-{name}")
    one, other = tmp_path / "one", tmp_path / "other"
    with listening(one, address) as first, Traffic(cluster, name, event) as traffic:
        until(lambda: len(ids(one)) >= 20)
        with listening(other, address) as second:
            until(lambda: len(first.source.parts() or {}) == len(second.source.parts() or {}) == 2)
            traffic.more(60)
            until(lambda: len(ids(other)) >= 20)
        # The second has gone without a word, as members with a name do: it is waited for, then given up.
        until(lambda: len(first.source.parts() or {}) == 4)
        traffic.more(20)
        sent = traffic.end()
        until(lambda: len(ids(one)) + len(ids(other)) >= sent, within=60)
        until(lambda: first.waiting() == 0)
    assert sorted(ids(one) + ids(other)) == list(range(sent))


@pytest.mark.timeout(600)
def test_a_broker_that_is_stopped_and_started_is_a_delay_that_is_shown_and_no_loss(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Kafka(tmp_path / "kafka") as broker:
        cluster = Cluster(broker.address)
        name = cluster.make(partitions=2)
        with Up(data, cluster.url(name)) as up, Traffic(cluster, name, event) as traffic:
            up.wait(lambda: read(data) >= 50)
            up.wait(lambda: up.lag().keys() == {f"{name}/0", f"{name}/1"} and (up.late() or 9) < 3)
            broker.stop()
            before = traffic.sent
            up.wait(lambda: "cannot be reached" in up.errors.read_text("utf-8"))
            traffic.more(100)
            up.wait(lambda: (up.late() or 0) > 5)
            assert read(data) < traffic.sent - 50, "nothing came while it was down"
            broker.start()
            up.wait(lambda: read(data) > before + 100, within=200)
            traffic.more()
            sent = traffic.end()
            up.wait_for(sent)
            up.wait(lambda: (up.late() or 9) < 3 and not sum(up.lag().values()))
            assert "connected" in up.errors.read_text("utf-8")
    assert ids(data) == list(range(sent))
    assert status(data)["counts"]["duplicates"] == status(data)["counts"]["backfill"] == 0


POISON = [b"\xff\xfe", "no JSON", "[1]", '{"unknown": 1}', None]
"""What no topic can mean."""


def test_a_poison_message_in_each_topic_stops_none_of_them(cluster: Cluster, tmp_path: Path) -> None:
    def drone(number: int) -> str:
        return OLDER.replace("VWWFHVR", f"V{number}") % "10/21/2020 0309A"

    def ticket(number: int) -> str:
        return drone(number).replace('"drone_id": 4', '"drone_id": null')

    def person(number: int) -> str:
        return json.dumps({**json.loads(PERSON), "id": f"p{number}"})

    shapes = {"users": person, "csv_topic": ticket, "drone_topic": drone, "alert_topic": drone}
    shapes["citywatch.events"] = event
    names = {topic: cluster.make(f"{topic}-{time.time_ns()}") for topic in shapes}
    mapped = ("csv_topic", "drone_topic", "alert_topic")
    mapping = ",".join([f"{names['users']}:safety-watcher", *(f"{names[topic]}:prestacop" for topic in mapped)])
    for topic, make in shapes.items():
        first = {"alert_topic": 100}.get(
            topic, 0
        )  # an alert is the drone's message again: with its bytes it were a copy
        cluster.send(names[topic], [make(first), *POISON, make(first + 1)])
    with listening(tmp_path, cluster.url(*names.values(), mapping=mapping)) as heard:
        heard.wait(len(shapes) * (2 + len(POISON)))
        for topic, make in shapes.items():
            cluster.send(names[topic], [make({"alert_topic": 100}.get(topic, 0) + 2)])
        heard.wait(len(shapes) * (3 + len(POISON)))
        assert heard.engine.status()["counts"]["duplicates"] == 0
    kinds = Counter(row[0] for row in stored(tmp_path, "type"))
    assert kinds == {"person.report": 3, "ticket.issued": 3, "drone.violation": 6, "t": 3}
    places = [(source, line) for source, line, _ in refused(tmp_path)]
    assert places == sorted((f"{name}/0", 1 + line) for name in names.values() for line in range(len(POISON)))


RULES = """
{name: marked, where: "label = 'a'"}
---
{name: often, correlation: {type: event_count, group-by: [device_id], timespan: 2s, condition: {gte: 20}}}
---
{name: silent, where: "label = 'b'", correlation: {type: flatline, group-by: [device_id], timespan: 1s}}
"""

WHEN_COMPLETE_MS = 12_000
"""More than timespan, lateness and disorder together: what waits for silence is known then."""


def test_a_run_that_is_killed_amid_traffic_raises_what_a_file_of_the_same_messages_raises(
    cluster: Cluster, tmp_path: Path
) -> None:
    def reading(number: int) -> str:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        data = {"device_id": f"d{number % 7}", "label": "abcde"[number % 5] if number % 300 < 150 else "c"}
        return event(number, type="anpr.read", time=now, data=data)

    rules = tmp_path / "rules"
    rules.mkdir()
    written = yaml.safe_dump_all([document(rule) for rule in yaml.safe_load_all(RULES)])
    (rules / "rules.yaml").write_text(written, "utf-8")
    # Stamped by the broker: however slow this machine is, the time of receipt is when a message came to the topic.
    name = cluster.make(partitions=3, message_timestamp_type="LogAppendTime")
    data = tmp_path / "topic"
    before: list[tuple[int, int, int]] = []
    for directory in (data, tmp_path / "file"):
        directory.mkdir()
        (directory / "citywatch.toml").write_text('lateness = "2s"\n')
    with Traffic(cluster, name, reading) as traffic:
        for kill in (signal.SIGKILL, signal.SIGKILL):
            with Run(data, cluster.url(name), "--rules", rules) as run:
                seen = read(data)
                run.wait(lambda seen=seen: read(data) > seen + 50)
                run.wait(lambda: born(data) > (before[-1][1] if before else 0))
                run.end(kill)
            before.append((read(data), born(data), traffic.sent))
            traffic.more(100)
        with Run(data, cluster.url(name), "--rules", rules) as run:
            run.wait(lambda: read(data) > before[-1][2])
            sent = traffic.end()
            run.wait_for(sent)
            end = max(at for at, _ in cluster.stamped(name)) + WHEN_COMPLETE_MS
            run.wait(lambda: status(data)["clock"] > end * 1000)
            run.wait_for(sent)
    assert 0 < before[0][0] < before[1][0] < sent, "it was killed twice, with messages left"
    assert 0 < before[0][1] < before[1][1], "alerts were raised before each kill"

    lines = [json.loads(text) | {"receivedat": _iso(at)} for at, text in cluster.stamped(name)]
    file = tmp_path / "messages.ndjson"
    clock = json.loads(event(-1, source="end", type="test.clock", time=_iso(end), receivedat=_iso(end)))
    file.write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, clock]), "utf-8")
    done = citywatch("run", file, "--once", "--rules", rules, "--data", tmp_path / "file")
    assert done.returncode == 0, done.stderr
    expected = facts(tmp_path / "file")
    assert {fact[0] for fact in expected.values()} == {"marked", "often", "silent"}
    assert facts(data) == expected
    assert ids(data) == list(range(sent))
    assert status(data)["counts"]["backfill"] == 0


def _iso(stamp_ms: int) -> str:
    return datetime.fromtimestamp(stamp_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
