"""HDFS loses its only DataNode while `citywatch spark archive` keeps a topic that messages come to. A soak test."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.reading import Reader, scan
from deploy.servers.hdfs_server import Hdfs
from tests.cluster.servers import owner
from tests.cluster.spark.running import Job, waiting
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster
from tests.cluster.traffic import Traffic

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(900)]


def _kept(archive: Archive) -> list[tuple[int, str]]:
    """Id and bytes of every event that counts, by id."""
    with duckdb.connect() as con:
        relation = scan(archive, Reader(archive, con).events())
        rows = con.execute(f"SELECT CAST(id AS INT), raw FROM {relation} ORDER BY 1").fetchall()
    return [(int(number), bytes(raw).decode()) for number, raw in rows]


def test_a_job_that_loses_the_datanode_says_so_and_goes_on_without_loss_or_doubling_when_it_is_back(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)
    name, log = cluster.make(partitions=2), tmp_path / "log"
    with Hdfs(tmp_path / "hdfs", owner=owner()) as server, Traffic(cluster, name, event) as traffic:
        archive = Archive(f"{server.address}/city")
        read = ("--from", cluster.url(name), "--to", archive.address, "--data", tmp_path / "data", "--shards", 2)
        words = (*read, "--every", "1 second", "--metrics-port", 0)
        job = Job(*words, log=log, job="archive")
        job.wait_for(lambda: archive.manifest().batch >= 1)
        server.datanode.stop()
        before = traffic.sent
        job.wait_for(lambda: waiting(job.metrics()) > 100)
        assert re.search(r"the job ended: .*StoreError: .*cannot \w+ .*live DataNodes.*start it again", job.failure())
        down = traffic.sent
        assert down - before > 100, "messages came while it was down"
        server.datanode.start()
        server.wait()
        held = archive.manifest()
        assert 0 < held.seq <= before, "something was kept before, and nothing while it was down"

        again = Job(*words, log=tmp_path / "again", job="archive")
        again.wait_for(lambda: archive.manifest().seq > down)
        traffic.more(100)
        sent = traffic.end()
        again.wait_for(lambda: archive.manifest().seq >= sent)
        again.wait_for(lambda: waiting(again.metrics()) == 0)
        assert again.ended()["events"] == sent - held.seq
        assert _kept(archive) == [(number, event(number)) for number in range(sent)]
