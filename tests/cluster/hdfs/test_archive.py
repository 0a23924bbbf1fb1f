"""An archive holds each event once whatever stops half-way, and reports from it have the rows of the laptop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from citywatch.errors import StoreError
from citywatch.stores.archive import publishing
from citywatch.stores.archive.hdfs import OnHdfs
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.merging import merge
from citywatch.stores.archive.reading import Reader
from citywatch.stores.archive.writing import MOST
from citywatch.stores.history import History
from deploy.servers.hdfs_server import Hdfs
from tests.archives import events, has_the_rows_of_the_laptop, published
from tests.cluster.hdfs.files import paths
from tests.cluster.running import citywatch
from tests.cluster.servers import owner
from tests.mqtt.conftest import stored

pytestmark = pytest.mark.cluster

MIB = 1 << 20


def test_every_report_has_the_rows_of_the_laptop(home: str, city: Path) -> None:
    has_the_rows_of_the_laptop(home, city)


def test_the_command_says_what_is_new_and_a_report_is_asked_of_the_archive(home: str, city: Path) -> None:
    first = citywatch("archive", "--data", city, "--to", home)
    assert f"{History(city).rows():,} events are new" in first.stderr
    assert "0 events are new" in citywatch("archive", "--data", city, "--to", home, "--compact").stderr
    asked = citywatch("report", "messages", "--data", home, "--format", "json")
    assert asked.stdout == citywatch("report", "messages", "--data", city, "--format", "json").stdout
    counted = citywatch("sql", "SELECT count(*) AS n FROM events", "--data", home, "--format", "csv")
    assert counted.stdout.split() == ["n", str(History(city).rows())]
    closed = citywatch("sql", "SELECT * FROM read_csv('/etc/hostname')", "--data", home)
    assert "Permission" in closed.stderr


def test_small_files_become_one_and_a_reader_that_began_before_reads_on(
    home: str, city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(home)
    monkeypatch.setattr(publishing, "ROUND", 450)
    published(city, archive)
    before = archive.manifest()
    assert max(len(files) for files in before.events.values()) >= 3
    with duckdb.connect() as con:
        reader = Reader(archive, con)
        reader.create_view()
        fewer = merge(archive, 2)
        archive.clean()
        assert con.execute("SELECT count(*) FROM events").fetchall() == [(History(city).rows(),)]
    assert isinstance(archive.files, OnHdfs)
    assert archive.files.hdfs.client.get_file_info(archive.root).permission == 0o700
    after = archive.manifest()
    assert {len(files) for files in after.events.values()} == {1}
    assert all(file.bytes <= MOST for files in after.events.values() for file in files)
    assert sum(map(len, before.events.values())) - sum(map(len, after.events.values())) == fewer > 0
    assert events(archive) == stored(city, "source, id, time_precision, data")
    replaced = {file.path for files in before.events.values() for file in files} - {f.path for f in after.files()}
    assert archive.clean(grace_s=-60) >= len(replaced)
    assert not replaced & set(paths(home))
    assert events(archive) == stored(city, "source, id, time_precision, data")


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
