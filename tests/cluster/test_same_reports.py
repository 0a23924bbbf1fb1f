"""The same messages in Kafka, on HDFS, in Cassandra and in a laptop's history give the same reports."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from citywatch.analytics.question import Answer, questions
from citywatch.cli.elsewhere import ANSWERED
from tests.cluster.cassandra.keyspaces import SECRET, keyspace
from tests.cluster.city import answer
from tests.cluster.running import Run, citywatch, status
from tests.cluster.servers import cassandra, hdfs, owner
from tests.cluster.spark.running import command
from tests.cluster.test_same_alerts import by_source, clock, now_is
from tests.cluster.topics import Cluster
from tests.conformance.command_line import said

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RATE, SECONDS = 30, 200
WITHOUT_ROWS = 10
"""So many questions, at most, are about what this city does not have, such as emergency calls."""


def _city(truth: Path) -> list[str]:
    made = citywatch("simulate", "city", "--rate", RATE, "--duration", f"{SECONDS}s", "--seed", 5, "--truth", truth)
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()


def _answers(place: Path | str, names: tuple[str, ...]) -> dict[str, Answer]:
    return {name: answer(place, name) for name in names}


def test_kafka_hdfs_cassandra_and_a_laptop_answer_alike(
    cluster: Cluster, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)
    for name, text in SECRET.items():
        monkeypatch.setenv(name, text)
    names = tuple(name for name, asking in questions().items() if not asking.takes_truth)
    truth = tmp_path / "planted.json"
    lines = [*_city(truth), "{ no message"]
    topic, live, home = cluster.make(partitions=2), tmp_path / "kafka", f"{hdfs()}/tests/same-{owner()}"
    cluster.send(topic, lines, key=by_source)

    with keyspace(cassandra()) as store:
        with Run(live, cluster.url(topic), "--store", store.url, environment={**os.environ, **SECRET}) as run:
            run.wait_for(len(lines))
            last = now_is(datetime.now(UTC))
            cluster.send(topic, [last], key=by_source)
            run.wait_for(len(lines) + 1)
            run.wait(lambda: clock(live) > time.time() - 10)
            run.wait_for(len(lines) + 1)
            run.end(signal.SIGINT)
        words = ("--from", cluster.url(topic), "--to", home, "--data", live, "--once")
        archived = json.loads(command("archive", *words)[-1])
        file, laptop = tmp_path / "city.ndjson", tmp_path / "laptop"
        file.write_text("\n".join([*lines, last]) + "\n", "utf-8")
        done = citywatch("run", file, "--once", "--data", laptop)

        counts = json.loads(done.stdout.splitlines()[-1])
        assert counts["events"] == archived["events"] == status(live)["counts"]["events"] > RATE * SECONDS * 0.9
        assert counts["rejected"] == archived["rejected"] >= 1
        expected = _answers(laptop, names)
        assert sum(not len(found.rows) for found in expected.values()) <= WITHOUT_ROWS
        assert _answers(live, names) == expected
        assert _answers(home, names) == expected
        asked = ("detection", "--truth", truth, "--format", "json")
        detected = [said("report", *asked, "--data", place) for place in (laptop, live, home)]
        detected.append(command("report", *asked, "--data", home))
        assert [json.loads("\n".join(found)) for found in detected[1:]] == [json.loads("\n".join(detected[0]))] * 3
        assert any(row["caught"] for row in json.loads("\n".join(detected[0]))["rows"])
        four = ("alerts", "mean-age", "repeat-persons", "reports-by-timeframe")
        assert set(four) <= set(ANSWERED)
        assert _answers(store.url, four) == {name: expected[name] for name in four}
        assert all(len(expected[name].rows) for name in four)
