"""Every way into the topic of alerts writes the same message, and every reader understands it."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from citywatch.connections.kafka.address import parse
from citywatch.delivery import Kind
from citywatch.engine.spark.told import Told
from citywatch.engine.spark.topic import TopicTold
from citywatch.notify.kafka import Kafka
from citywatch.notify.message import Message
from citywatch.settings import SECOND
from citywatch.stores.desk import Desk
from citywatch.stores.desk.told import Message as Heard
from citywatch.stores.desk.told import facts_of
from tests.cluster.city import city_in
from tests.cluster.running import Run, citywatch, facts, read
from tests.cluster.test_reading import OLDER
from tests.cluster.topics import Cluster
from tests.conformance.command_line import said

pytestmark = pytest.mark.cluster


def by_id(messages: list[str]) -> dict[str, dict[str, Any]]:
    """The last message of each alert, without the moment at which it was told."""
    found = {alert["id"]: alert for alert in map(json.loads, messages)}
    return {id_: {name: alert[name] for name in alert if name != "updated_at"} for id_, alert in found.items()}


def test_the_notifier_the_job_on_spark_and_run_write_the_same_message(cluster: Cluster, tmp_path: Path) -> None:
    data = city_in(tmp_path / "data")
    topics = {way: cluster.make() for way in ("notifier", "spark", "run")}
    with Desk(data / "desk.sqlite") as desk:
        alerts = list(desk.alerts())
        lines = [Heard("desk", number, json.dumps(alert).encode()) for number, alert in enumerate(alerts)]
    assert len(alerts) > 20

    notifier = Kafka(
        servers=cluster.address, topic=topics["notifier"], config=None, timeout=20 * SECOND, form="citywatch"
    )
    rules = dict.fromkeys((alert["rule"] for alert in alerts), 1)
    notifier.send(Message("k", Kind.BATCH, alerts, len(alerts), rules, "America/New_York", 0))
    facts_, refused = facts_of(lines)
    assert not refused.num_rows
    empty = facts_.slice(0, 0)
    with TopicTold(parse(f"kafka://{cluster.address}/{topics['spark']}")) as tell:
        tell(Told(0, facts_, empty, empty))
    nothing = tmp_path / "nothing.ndjson"
    nothing.write_text("")
    said("run", nothing, "--once", "--data", data, "--to", f"kafka://{cluster.address}/{topics['run']}")

    told = {way: by_id(cluster.values(topic)) for way, topic in topics.items()}
    assert told["notifier"] == told["spark"] == told["run"] == by_id([json.dumps(alert) for alert in alerts])
    back, refused = facts_of([Heard("t", 0, text.encode()) for text in cluster.values(topics["run"])])
    assert not refused.num_rows
    assert sorted(back.to_pylist(), key=lambda fact: fact["id"]) == sorted(
        facts_.to_pylist(), key=lambda fact: fact["id"]
    )
    for topic in topics.values():
        rung = citywatch("alerts", "tail", "--from", cluster.url(topic), "--once")
        assert len(rung.stdout.splitlines()) == len(alerts)
        assert "no alerts" not in rung.stderr


def test_a_run_that_is_killed_tells_its_topic_of_every_alert(cluster: Cluster, tmp_path: Path) -> None:
    topic, alerts, data = cluster.make(), cluster.make(), tmp_path / "data"
    now = datetime.now(ZoneInfo("America/New_York")).strftime("%m/%d/%Y %I%M%p")[:-1]
    drones = [OLDER.replace("VWWFHVR", f"V{number}") % now for number in range(400)]
    words = (cluster.url(topic), "--to", cluster.url(alerts))
    cluster.send(topic, drones[:200])
    with Run(data, *words) as run:
        run.wait(lambda: cluster.values(alerts))
        run.end(signal.SIGKILL)
    before = len(by_id(cluster.values(alerts)))
    cluster.send(topic, drones[200:])
    with Run(data, *words) as run:
        run.wait(lambda: read(data) >= 400)
        run.wait_for(400)
        run.end(signal.SIGINT)
    told = by_id(cluster.values(alerts))
    assert 0 < before < len(told)
    assert told.keys() == facts(data).keys()
    assert {alert["rule"] for alert in told.values()} >= {"prestacop_alert"}


def test_an_alert_in_the_older_topic_is_written_rung_and_read_in_its_own_shape(
    cluster: Cluster, tmp_path: Path
) -> None:
    older, data = cluster.make(), tmp_path / "data"
    file = tmp_path / "drone.ndjson"
    file.write_text(OLDER % "10/21/2020 0309A" + "\n")
    said("run", file, "--once", "--data", data)
    with Desk(data / "desk.sqlite") as desk:
        alerts = [alert for alert in desk.alerts() if alert["rule"] == "prestacop_alert"]
    notifier = Kafka(servers=cluster.address, topic=older, config=None, timeout=20 * SECOND, form="prestacop")
    notifier.send(Message("k", Kind.ALERT, alerts, 1, {"prestacop_alert": 1}, "America/New_York", 0))
    assert [json.loads(text) for text in cluster.values(older)] == [json.loads(OLDER % "10/21/2020 0309A")]
    rung = citywatch("alerts", "tail", "--from", cluster.url(older), "--once").stdout
    assert rung.startswith(
        "Warning, vehicle VWWFHVR was caught committing offence 95 on 10/21/2020 0309A at address 907"
    )
