"""`citywatch spark detect` as on a cluster: TLS and a password to Kafka, its checkpoint on HDFS. A soak test."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.hdfs.files import paths
from tests.cluster.servers import hdfs
from tests.cluster.spark import city
from tests.cluster.spark.running import Job, alerts
from tests.cluster.test_security import properties, secured_broker
from tests.cluster.topics import Cluster
from tests.conformance.cases import Said
from tests.conformance.command_line import said

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1200)]

EVENTS = 4_000


def test_with_tls_a_password_and_its_checkpoint_on_hdfs_a_job_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rules, lines = city.rules(tmp_path / "rules"), city.events(EVENTS, seed=4)
    lines.append(city.end(lines, 0))
    city.write(tmp_path / "in", lines)
    said("run", tmp_path / "in" / "*.ndjson", "--once", "--rules", rules, "--data", tmp_path / "one")
    with secured_broker(tmp_path) as (broker, port):
        cluster = Cluster(broker.address)
        topic, told, refused = cluster.make(), cluster.make(), cluster.make()
        client = properties(tmp_path, "admin", "PLAIN")
        password = {"CITYWATCH_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}

        def address(name: str) -> str:
            return f"kafka://127.0.0.1:{port}/{name}?config={client}"

        checkpoint = f"{hdfs()}/{topic}/detect"
        to = ("--to", address(told), "--rejected-to", address(refused), "--checkpoint", checkpoint)
        command = (address(topic), "--data", tmp_path / "two", "--rules", rules, "--once", "--at-once", 2_000, *to)
        committed: list[int] = []
        for part in (lines[: EVENTS // 2], lines[EVENTS // 2 :]):
            cluster.send(topic, part)
            found = Job(*command, log=tmp_path / "log", environment=password).last_line()
            assert found["read"] == len(part), "each run reads what no run before it has read"
            committed.append(_batches(paths(checkpoint)))
        assert 0 < committed[0] < committed[1]
        assert not (tmp_path / "two" / "spark").exists()
        expected = alerts(tmp_path / "one")
        assert alerts(tmp_path / "two") == expected
        assert {alert.id: alert for alert in map(_said, cluster.values(told))} == expected
        assert len(cluster.values(refused)) == EVENTS // 1000


def _batches(files: Sequence[str]) -> int:
    """How many batches a checkpoint has committed; both stages have written their state of each."""
    commits = [name for name in files if re.fullmatch(r"commits/\d+", name)]
    logs = [re.findall(r"^state/(\d)/0/\d+\.changelog$", name) for name in files]
    assert sorted(stage for found in logs for stage in found) == ["0"] * len(commits) + ["1"] * len(commits)
    return len(commits)


def _said(message: str) -> Said:
    return Said.of_json(json.loads(message))
