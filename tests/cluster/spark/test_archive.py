"""`citywatch spark archive` keeps every message once, bytes included; `spark report` has the rows of one machine."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import duckdb
import pytest

from citywatch.analytics.period import Period
from citywatch.analytics.question import Asked, questions
from citywatch.cli.elsewhere import asked_of, connected
from citywatch.errors import JobError
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.merging import merge
from citywatch.stores.archive.publishing import publish
from citywatch.stores.archive.reading import Reader, create_view, scan
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from deploy.servers.server import free_port
from tests.cluster.city import answer, city_in
from tests.cluster.servers import hdfs, owner
from tests.cluster.spark import city
from tests.cluster.spark.running import Job, command, samples, waiting
from tests.cluster.topics import Cluster, Sent
from tests.conformance.command_line import said

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EVENTS = 6_000
BATCH = EVENTS // 3
_numbers = count()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a directory of the test's own on HDFS, which is not there yet; who started HDFS may do all there."""
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)
    return f"{hdfs()}/tests/spark-{owner()}-{tmp_path.name}-{next(_numbers)}"


def _source(line: Sent) -> str | None:
    try:
        return str(json.loads(line or "")["source"])
    except ValueError:
        return None


def _written(archive: Archive) -> int:
    """Files that stand there, whether they count or not."""
    try:
        return sum(path.endswith(".parquet") for path, _ in archive.files.below(archive.root))
    except FileNotFoundError:
        return 0


def _raw(archive: Archive) -> dict[tuple[str, str], bytes]:
    """Source and id of every event that counts, and its bytes."""
    with duckdb.connect() as con:
        files = Reader(archive, con).events()
        rows = con.execute(f"SELECT source, id, raw FROM {scan(archive, files)}").fetchall()
    found = {(source, id_): bytes(raw) for source, id_, raw in rows}
    assert len(found) == len(rows), "an event is there twice"
    return found


def _sent(cluster: Cluster) -> tuple[str, list[str]]:
    """A topic, and what is in it beside two messages that are none."""
    lines = city.events(EVENTS, seed=3)
    late = {**json.loads(lines[0]), "id": "late", "time": "2024-01-05T12:00:00Z", "source": "late"}
    sent = [*lines[: EVENTS // 2], json.dumps(late), *lines[EVENTS // 2 :]]
    topic = cluster.make(partitions=2)
    cluster.send(topic, sent, key=_source)
    cluster.send(topic, [None, b"\xff no JSON"], partition=1)
    return cluster.url(topic), sent


def _words(topic: str, home: str, data: Path) -> tuple[object, ...]:
    return "--from", topic, "--to", home, "--data", data, "--once", "--at-once", BATCH, "--shards", 2


@contextmanager
def _watched() -> Iterator[tuple[int, list[dict[str, float]]]]:
    """A port, and what a page of metrics there says for as long as the block lasts."""
    port, pages, over = free_port(), [], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            with suppress(ConnectionError, URLError):  # it is not there yet, or not any more
                pages.append(samples(f"http://127.0.0.1:{port}/metrics"))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield port, pages
    finally:
        over.set()
        watching.join()


def test_every_message_is_kept_once_and_the_job_goes_on_where_it_stopped(
    cluster: Cluster, spark: SparkSession, home: str, tmp_path: Path
) -> None:
    (topic, sent), archive = _sent(cluster), Archive(home)
    words = _words(topic, home, tmp_path / "data")
    with _watched() as (port, pages):
        first = json.loads(command("archive", *words, "--metrics-port", port)[-1])
    again = json.loads(command("archive", *words)[-1])
    assert (again["read"], first["events"]) == (0, archive.manifest().seq)
    shown = [(page['citywatch_records_total{outcome="events"}'], waiting(page)) for page in pages]
    assert [left for events, left in shown if 0 < events < first["events"] and 0 < left < len(sent)], shown
    found = _all_are_kept(archive, sent)
    _compacted(archive, found.keys())


@pytest.mark.soak
def test_a_job_whose_checkpoint_is_lost_adds_to_its_archive_what_is_not_there(
    cluster: Cluster, spark: SparkSession, tmp_path: Path
) -> None:
    lines, topic, home = city.events(EVENTS, seed=4), cluster.make(partitions=2), f"file://{tmp_path / 'to'}"
    archive, words = Archive(home), _words(cluster.url(topic), home, tmp_path / "data")
    bad = [None, b"\xff no JSON"]
    cluster.send(topic, lines[: EVENTS // 2], key=_source)
    cluster.send(topic, bad, partition=1)
    command("archive", *words)
    before, seen = _raw(archive), archive.manifest().seq
    refused = _reasons(archive)
    shutil.rmtree(tmp_path / "data" / "spark")
    with pytest.raises(JobError, match=r"another job.*--anew"):
        command("archive", *words)
    assert _raw(archive) == before, "a job that is refused changes nothing"

    shutil.rmtree(tmp_path / "data" / "spark")
    cluster.send(topic, lines[EVENTS // 2 :], key=_source)
    cluster.send(topic, bad, partition=1)
    said = json.loads(command("archive", *words, "--anew")[-1])
    assert (said["read"], said["events"]) == (len(lines) + 2 * len(bad), EVENTS - seen)
    found = _raw(archive)
    assert {key: raw for key, raw in found.items() if key in before} == before
    assert len(found) == archive.manifest().seq == EVENTS
    broken = sum(not line.endswith("}") for line in lines)
    assert len(_reasons(archive)) == broken + 2 * len(bad) > len(refused), "those of before are there once"
    with duckdb.connect() as con:
        relation = scan(archive, Reader(archive, con).events())
        ((numbers, events),) = con.execute(f"SELECT count(DISTINCT seq), count(*) FROM {relation}").fetchall()
    assert numbers == events
    assert json.loads(command("archive", *words)[-1])["read"] == 0, "and goes on as any other"


@pytest.mark.soak
def test_every_message_is_kept_once_though_the_job_is_killed_in_the_middle_of_a_batch(
    cluster: Cluster, home: str, tmp_path: Path
) -> None:
    (topic, sent), archive, data = _sent(cluster), Archive(home), tmp_path / "data"
    commits, offsets = (data / "spark" / "archive" / name for name in ("commits", "offsets"))
    words = _words(topic, home, data)

    job = Job(*words, log=tmp_path / "log", job="archive")
    job.wait_for((offsets / "1").exists)
    job.wait_for(lambda: _written(archive) > len(archive.manifest().files()))
    job.kill()
    assert not (commits / "1").exists(), "the batch was over before the job was killed"
    before = _raw(archive)
    assert 0 < len(before) < EVENTS
    last = Job(*words, log=tmp_path / "log", job="archive").last_line()

    found = _all_are_kept(archive, sent)
    assert [key for key, raw in before.items() if found[key] != raw] == []
    assert archive.manifest().seq == len(before) + last["events"]
    assert archive.clean(grace_s=-60) >= 1, "what the killed batch had written counts for nothing"
    assert _raw(archive) == found


def _all_are_kept(archive: Archive, sent: list[str]) -> dict[tuple[str, str], bytes]:
    """Each event once, its bytes as they were sent first, in its own day, and what is none with its reason."""
    wanted: dict[tuple[str, str], bytes] = {}
    for line in filter(_source, sent):
        event = json.loads(line)
        wanted.setdefault((event["source"], event["id"]), line.encode())
    found = _raw(archive)
    assert found.keys() == wanted.keys()
    assert [(found[key], raw) for key, raw in wanted.items() if found[key] != raw] == [], (
        "the first copy, as it was sent"
    )
    assert archive.manifest().seq == len(wanted)
    broken = _reasons(archive)
    assert len(broken) == EVENTS // 1000 + 2
    assert [reason for reason in broken if "tombstone" in reason]
    assert "day=2024-01-05/type=anpr.read" in archive.manifest().events
    return found


def _reasons(archive: Archive) -> list[str]:
    with duckdb.connect() as con:
        return [str(reason) for reason in Reader(archive, con).rejected()["reason"].to_pylist()]


def _refused(archive: Archive) -> list[tuple[object, ...]]:
    """All that is known of what was refused, as often as it is there."""
    files = [file for files in archive.manifest().rejected.values() for file in files]
    with duckdb.connect() as con:
        archive.files.attach(con)
        return con.execute(f"FROM {scan(archive, files)} ORDER BY ALL").fetchall()


def _compacted(archive: Archive, keys: object) -> None:
    """Files become few while somebody reads, who sees every event once, before and after; so for what was refused."""
    refused = _refused(archive)
    assert max(len(files) for files in archive.manifest().rejected.values()) > 1
    with duckdb.connect() as con:
        reader = Reader(archive, con)
        reader.create_view()
        assert merge(archive, 2) > 0
        assert archive.clean() == 0, "files that somebody may read stay"
        rows = con.execute("SELECT source, id FROM events").fetchall()
    assert len(rows) == len(set(rows))
    assert set(rows) == keys
    manifest = archive.manifest()
    assert {len(files) for parts in (manifest.events, manifest.rejected) for files in parts.values()} == {1}
    assert _raw(archive).keys() == keys
    assert _refused(archive) == refused != []


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A minute of a city in a data directory, and on HDFS."""
    data = city_in(tmp_path_factory.mktemp("city") / "data")
    address = f"{hdfs()}/tests/spark-report-{owner()}-{next(_numbers)}"
    with Desk(data / "desk.sqlite") as desk, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HADOOP_USER_NAME", raising=False)
        publish(DataDirectory(data), desk.directory_name(), Archive(address))
        yield data, address


def test_every_report_from_spark_has_the_rows_of_the_laptop(spark: SparkSession, published: tuple[Path, str]) -> None:
    from citywatch.engine.spark.asking import Workers

    data, address = published
    archive, with_rows = Archive(address), 0
    with connected() as con:
        reader = Reader(archive, con)
        create_view(con, archive, [], reader.zone)
        workers = Workers(spark, archive, reader.events(), reader.zone)
        opened = asked_of(reader, con, lambda _: pytest.fail("no truth is asked for"), workers)
        for name, asking in questions().items():
            if not asking.takes_truth:
                expected = answer(data, name)
                assert asking.answer(opened, Asked(Period(None, None))) == expected, name
                with_rows += bool(len(expected.rows))
    assert with_rows > 25


def test_the_command_prints_what_the_laptop_prints(spark: SparkSession, published: tuple[Path, str]) -> None:
    data, address = published
    expected = said("report", "messages", "--data", data, "--format", "json")
    assert command("report", "messages", "--data", address, "--format", "json") == expected != []
