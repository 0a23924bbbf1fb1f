"""A broker that is stopped and started under `citywatch spark detect`, which goes on by itself. A soak test."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deploy.servers.kafka_server import Kafka
from tests.cluster.running import citywatch, status
from tests.cluster.spark.running import Job, alerts, waiting
from tests.cluster.test_reading import event, iso
from tests.cluster.topics import Cluster
from tests.cluster.traffic import Traffic
from tests.conformance.cases import Said
from tests.conformance.examples import document

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(900)]

RULES = """
{name: marked, where: "label = 'a'"}
---
{name: often, correlation: {type: event_count, group-by: [device_id], timespan: 2s, condition: {gte: 20}}}
"""
MARKED = 5
"""Every so many messages one is marked."""
AWAY_S = 15
"""So much the clock falls back while the broker is away."""
LATE = 'citywatch_alert_delay_seconds_bucket{le="10"}'
CLOCK = "citywatch_clock_lag_seconds"


def reading(number: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {"device_id": f"d{number % 7}", "label": "abcde"[number % MARKED]}
    return event(number, type="anpr.read", time=now, data=data)


def test_a_broker_that_is_stopped_and_started_is_a_delay_of_the_job_that_is_shown_and_no_loss(tmp_path: Path) -> None:
    rules, data = tmp_path / "rules", tmp_path / "data"
    rules.mkdir()
    documents = [document(rule) for rule in yaml.safe_load_all(RULES)]
    (rules / "rules.yaml").write_text(yaml.safe_dump_all(documents), "utf-8")
    with Kafka(tmp_path / "kafka") as broker:
        cluster = Cluster(broker.address)
        # Stamped by the broker: the time of receipt is when a message came to the topic, for a file of them as well.
        topic, told = cluster.make(partitions=2, message_timestamp_type="LogAppendTime"), cluster.make()
        words = (cluster.url(topic), "--data", data, "--rules", rules, "--to", cluster.url(told), "--metrics-port", 0)
        with Traffic(cluster, topic, reading) as traffic:
            job = Job(*words, log=tmp_path / "log")
            job.wait_for(lambda: read(data) > 0 and len(alerts(data)) > 20)
            before, shown = alerts(data), job.metrics()
            broker.stop()
            stopped = traffic.sent
            job.wait_for(lambda: job.metrics()[CLOCK] > shown[CLOCK] + AWAY_S)
            traffic.more(500)
            assert read(data) < traffic.sent - 400, "nothing came while it was down"
            down = alerts(data)
            broker.start()
            job.wait_for(lambda: read(data) > stopped + 500)
            traffic.more()
            sent = traffic.end()
        job.wait_for(lambda: read(data) >= sent)
        job.wait_for(lambda: waiting(job.metrics()) == 0 and job.metrics()[CLOCK] < AWAY_S)
        late = job.metrics()
        job.ended()
        lines, heard = cluster.stamped(topic), [Said.of_json(json.loads(text)) for text in cluster.values(told)]
    assert late["citywatch_alert_delay_seconds_count"] - late[LATE] > 50, "alerts that were told late are counted so"
    expected = of_file(tmp_path / "file", lines, rules)
    assert 20 < len(before) <= len(down) < len(expected)
    marked = [int(ident) for alert in expected.values() if alert.rule == "marked" for _, ident in alert.evidence]
    assert sorted(marked) == list(range(0, sent, MARKED)), "nothing of what was sent is lost or doubled"
    assert alerts(data) == expected
    assert {alert.id: alert for alert in heard} == expected
    counts = status(data)["counts"]
    assert (counts["events"], counts["duplicates"], counts["rejected"]) == (sent, 0, 0)


def read(data: Path) -> int:
    return int(status(data).get("counts", {}).get("events", 0))


def of_file(directory: Path, stamped: list[tuple[int, str]], rules: Path) -> dict[str, Said]:
    """The alerts of the same messages in a file, each received when it came to the topic."""
    directory.mkdir()
    moments = [(iso(datetime.fromtimestamp(at / 1000, UTC)), text) for at, text in stamped]
    lines = [json.dumps(json.loads(text) | {"receivedat": at}) for at, text in moments]
    file = directory / "messages.ndjson"
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    done = citywatch("run", file, "--once", "--rules", rules, "--data", directory / "data")
    assert done.returncode == 0, done.stderr
    return alerts(directory / "data")
