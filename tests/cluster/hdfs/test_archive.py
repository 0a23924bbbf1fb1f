"""What an archive on HDFS has to hold beside what every one has: see tests/conformance/test_stores.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.errors import StoreError
from citywatch.stores.archive import publishing
from citywatch.stores.archive.hdfs import OnHdfs
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.history import History
from deploy.servers.hdfs_server import Hdfs
from tests.archives import events, published
from tests.cluster.running import citywatch
from tests.cluster.servers import owner
from tests.mqtt.conftest import stored

pytestmark = pytest.mark.cluster

MIB = 1 << 20


def test_the_command_says_what_is_new_and_a_report_is_asked_of_the_archive(home: str, city: Path) -> None:
    first = citywatch("archive", "--data", city, "--to", home)
    assert f"{History(city).rows():,} events are new" in first.stderr
    assert "0 events are new" in citywatch("archive", "--data", city, "--to", home, "--compact").stderr
    asked = citywatch("report", "messages", "--data", home, "--format", "json")
    assert asked.stdout == citywatch("report", "messages", "--data", city, "--format", "json").stdout
    counted = citywatch("sql", "SELECT count(*) AS n FROM events", "--data", home, "--format", "csv")
    assert counted.stdout.split() == ["n", str(History(city).rows())]
    archive = Archive(home)
    assert isinstance(archive.files, OnHdfs)
    assert archive.files.hdfs.client.get_file_info(archive.root).permission == 0o700
    closed = citywatch("sql", "SELECT * FROM read_csv('/etc/hostname')", "--data", home)
    assert "Permission" in closed.stderr


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Hdfs]:
    with Hdfs(tmp_path / "hdfs", owner=owner()) as server:
        yield server


@pytest.mark.soak
def test_without_its_datanode_nothing_is_published_and_with_it_again_everything(
    own: Hdfs, city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(f"{own.address}/city")
    monkeypatch.setattr(publishing, "ROUND", 600)
    published(city, archive)
    before = events(archive)
    own.datanode.stop()
    bare = Archive(f"{own.address}/new")
    with pytest.raises(StoreError, match="cannot write"):
        published(city, bare)
    assert bare.manifest().number == 0
    own.datanode.start()
    own.wait()
    published(city, bare)
    assert events(bare) == before == stored(city, "source, id, time_precision, data")
