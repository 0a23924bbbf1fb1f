"""A broker of ZooKeeper's time is written to and read from as others are."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.servers.kafka39_server import Kafka39
from tests.cluster.listening import listening, stored
from tests.cluster.running import citywatch
from tests.cluster.servers import own
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster

pytestmark = pytest.mark.cluster


def test_events_sent_to_an_older_broker_are_read_from_it_once(tmp_path: Path) -> None:
    file, data = tmp_path / "events.ndjson", tmp_path / "data"
    with own(Kafka39(tmp_path / "broker")) as broker:
        cluster = Cluster(broker.address)
        name = cluster.make(partitions=2)
        for numbers in (range(20), range(20, 30)):
            file.write_text("".join(f"{event(n)}\n" for n in numbers))
            done = citywatch("send", file, "--to", cluster.url(name), "--again")
            assert done.returncode == 0, done.stderr
            with listening(data, cluster.url(name)) as heard:
                heard.wait(numbers.stop)
                assert heard.engine.status()["counts"]["duplicates"] == 0
    assert sorted(int(str(row[0])) for row in stored(data)) == list(range(30))
