"""`citywatch doctor --cluster` against real servers: what is there, what is missing, what is not allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.cli.cluster import cluster
from citywatch.cli.doctor import _found
from citywatch.cli.finding import Finding
from deploy.servers.postgresql_server import Postgresql
from deploy.servers.server import free_ports
from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster

pytestmark = pytest.mark.cluster


def looked(data: Path, *addresses: str) -> list[Finding]:
    (data / "citywatch.toml").write_text(f'cluster = "{" ".join(addresses)}"\n')
    return list(_found(cluster, data))


def test_without_addresses_it_says_where_they_go(tmp_path: Path) -> None:
    (finding,) = looked(tmp_path)
    assert finding.state == "note"
    assert "citywatch.toml" in finding.next


def test_topics_are_looked_at_one_by_one(tmp_path: Path) -> None:
    brokers = Cluster(kafka())
    topic = brokers.make(partitions=3)
    found = looked(tmp_path, f"kafka://{brokers.address}/{topic},missing.topic")
    said = {finding.what: finding for finding in found}
    assert said[f"topic {topic}: 3 partitions, at least 1 replicas in step"].state == "ok"
    assert said["topic missing.topic is not there"].state == "bad"
    assert "--create --topic missing.topic" in said["topic missing.topic is not there"].next


def test_the_desk_is_looked_at_and_a_superuser_is_too_much(tmp_path: Path, postgresql: Postgresql) -> None:
    found = looked(tmp_path, f"postgresql://postgres@{postgresql.address}/postgres?schema=doctor")
    assert [finding.what for finding in found if finding.state == "bad"] == []
    assert any("it is a superuser" in finding.what for finding in found)


def test_who_does_not_answer_is_bad_and_the_others_are_looked_at_all_the_same(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    port = free_ports(1)[0]
    nobody = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    somebody = f"postgresql://postgres@{postgresql.address}/postgres?schema=doctor"
    found = looked(tmp_path, nobody, somebody, "gopher://x")
    bad = [finding for finding in found if finding.state == "bad"]
    assert [str(port) in bad[0].what, "gopher" in bad[1].what] == [True, True]
    assert any("alerts" in finding.what for finding in found if finding.state == "ok")
