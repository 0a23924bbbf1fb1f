"""An archive holds each event once whatever stops half-way; days that are too old go.

In a directory; what it promises wherever it is see tests/conformance/test_stores.py.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from citywatch.alert import Action
from citywatch.cli import cli
from citywatch.errors import StoreError, UsageError
from citywatch.stores.archive import publishing
from citywatch.stores.archive.expiry import expire, keep
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.merging import mergeable, pieces
from citywatch.stores.archive.publishing import publish
from citywatch.stores.archive.reading import Reader
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.triage import Wish
from tests.archives import events, published
from tests.cluster.city import answer, city_in
from tests.cluster.hdfs.files import paths
from tests.cluster.running import citywatch
from tests.mqtt.conftest import stored

MIB = 1 << 20


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a minute of a city."""
    return city_in(tmp_path_factory.mktemp("city") / "data")


@pytest.fixture
def home(tmp_path: Path) -> str:
    """Address of a directory that is not there yet."""
    return f"file://{tmp_path}/archive"


def test_events_stand_by_day_and_type_and_what_was_rejected_with_its_reason(home: str, city: Path) -> None:
    archive = Archive(home)
    published(city, archive)
    found = paths(home)
    assert any(path.startswith("events/day=2026-05-01/type=anpr.read/") for path in found)
    days = {str(day) for (day,) in stored(city, "CAST(time AS DATE)")}
    assert {path.split("/")[1].removeprefix("day=") for path in found if path.startswith("events/")} == days
    with duckdb.connect() as con:
        reader = Reader(archive, con)
        assert [reason for reason in reader.rejected()["reason"].to_pylist() if "id is missing" in str(reason)]
    assert Path(archive.root).stat().st_mode & 0o777 == 0o700


def test_what_was_killed_half_way_is_done_again_and_doubles_nothing(
    home: str, city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(home)

    def killed(*_: object) -> Manifest:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            published(city, archive)
    left = paths(home)
    assert left
    assert archive.manifest().number == 0
    published(city, archive)
    assert events(archive) == stored(city, "source, id, time_precision, data")
    assert archive.clean(grace_s=-60) == len(left)
    assert events(archive) == stored(city, "source, id, time_precision, data")


def test_of_two_jobs_at_the_same_time_one_begins_anew(home: str, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, other = Archive(home), Archive(home)
    write = publishing._with_events
    began: list[bool] = []

    def meanwhile(*arguments: Any) -> Manifest:
        if not began:
            began.append(True)
            published(city, other)
        return write(*arguments)

    monkeypatch.setattr(publishing, "_with_events", meanwhile)
    published(city, archive)
    assert began
    assert events(archive) == stored(city, "source, id, time_precision, data")


def files(*sizes: int) -> list[File]:
    return [File(f"p/{n}", 1, size) for n, size in enumerate(sizes)]


def test_the_files_that_are_merged_are_those_that_are_too_small_and_too_large() -> None:
    def chosen(*sizes: int) -> list[int]:
        return [file.bytes // MIB for file in mergeable(files(*(size * MIB for size in sizes)))]

    assert chosen(40, 50, 300) == [40, 50]
    assert chosen(300, 1, 2, 100) == [1, 2, 100], "too little for a file: the smallest of the others is written anew"
    assert chosen(1, 500) == [1, 500]
    assert chosen(700, 300) == [700]
    assert chosen(100, 300) == chosen(1) == chosen() == []


@given(st.lists(st.integers(1, 2_000), max_size=30))
def test_a_merge_leaves_files_within_the_bounds_whatever_there_was(sizes: list[int]) -> None:
    before = files(*sizes)
    chosen = mergeable(before, 64, 512)
    total = sum(file.bytes for file in chosen)
    number = pieces(total, 512) if chosen else 0
    made = [total * (n + 1) // number - total * n // number for n in range(number)]
    after = [file.bytes for file in before if file not in chosen] + made
    assert sum(after) == sum(sizes)
    assert max(after, default=0) <= 512
    assert min(after, default=64) >= 64 or len(after) == 1
    assert mergeable(files(*after), 64, 512) == []


def test_an_alert_that_somebody_closes_and_a_record_that_is_replayed_are_renewed(
    home: str, city: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(city, data)
    archive = Archive(home)
    published(data, archive)
    before = archive.manifest()
    with Desk(data / "desk.sqlite") as desk:
        alert = next(desk.alerts())["id"]
        desk.mark_replayed([next(desk.rejected())["id"]])
    done = citywatch("alerts", "close", alert, "--outcome", "true_positive", "--data", data)
    assert not done.returncode, done.stderr
    published(data, archive)
    after = archive.manifest()
    assert len(set(after.alerts.values()) - set(before.alerts.values())) == 1
    assert after.events == before.events
    for name in ("alerts", "data-quality"):
        assert answer(home, name) == answer(data, name)
    with duckdb.connect() as con:
        lines = [json.loads(str(line)) for line in Reader(archive, con).alerts()["line"].to_pylist()]
    assert {line["state"] for line in lines if line["id"] == alert} == {"closed"}


def test_the_archive_of_another_data_directory_is_left_alone(home: str, city: Path) -> None:
    archive = Archive(home)
    published(city, archive)
    with pytest.raises(StoreError, match="another data directory"):
        publish(DataDirectory(city), "somebody else", archive)
    with duckdb.connect() as con, pytest.raises(StoreError, match="holds no archive"):
        Reader(Archive(f"{home}/none"), con)


def test_schema_of_files_is_that_of_events(home: str, city: Path) -> None:
    archive = Archive(home)
    published(city, archive)
    path = next(file.path for files in archive.manifest().events.values() for file in files)
    table = pq.read_table(pa.BufferReader(archive.files.read(f"{archive.root}/{path}")))
    assert {"source", "id", "data", "received_at"} <= set(table.column_names)


def expired(archive: Archive, *words: str, now: str, dry_run: bool = False) -> dict[str, Any]:
    moment = int(datetime.fromisoformat(now).timestamp() * 1_000_000)
    return expire(archive, keep(words), moment, dry_run=dry_run)


def test_whole_days_of_a_type_go_when_they_are_too_old(home: str, city: Path) -> None:
    archive = Archive(home)
    published(city, archive)
    before = events(archive)
    reads = [row for row in stored(city, "type, CAST(time AS DATE)") if row[0] == "anpr.read"]
    assert {str(day) for _, day in reads} == {"2026-05-01"}
    assert expired(archive, "anpr.*=10d", now="2026-05-11T23:59:59Z") == {"events": {}, "rejected": 0}
    due = expired(archive, "anpr.*=10d", now="2026-05-12T00:00:00Z", dry_run=True)
    assert 0 < due["events"]["anpr.read"] <= len(reads)
    assert events(archive) == before
    assert expired(archive, "anpr.*=10d", now="2026-05-12T00:00:00Z") == due
    assert len(events(archive)) == len(before) - due["events"]["anpr.read"]
    assert expired(archive, "anpr.*=10d", now="2026-05-12T00:00:00Z") == {"events": {}, "rejected": 0}


def test_what_an_open_alert_rests_on_stays_until_it_is_closed(home: str, city: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(city, data)
    archive = Archive(home)
    published(data, archive)
    expired(archive, "*=1d", now="2027-01-01T00:00:00Z")
    with Desk(data / "desk.sqlite") as desk:
        needed = {(row["source"], row["id"]) for row in desk.needed_events().to_pylist()}
        known = {row[:2] for row in stored(data, "source, id")}
        assert {row[:2] for row in events(archive)} == needed & known
        assert needed & known
        for alert in list(desk.alerts()):
            desk.act(alert["id"], Wish(Action.CLOSE, "somebody", "cli", outcome="false_positive"))
    published(data, archive)
    expired(archive, "*=1d", now="2027-01-01T00:00:00Z")
    assert events(archive) == []


@pytest.mark.parametrize("wrong", ["anpr.read", "*=tomorrow", "a*b=1d"])
def test_words_that_say_no_span_are_wrong_usage(wrong: str) -> None:
    with pytest.raises(UsageError, match="cannot keep"):
        keep((wrong,))


def test_the_commands_keep_an_archive_in_shape(home: str, city: Path) -> None:
    published(city, Archive(home))
    done = CliRunner().invoke(cli, ["compact", "--data", home])
    assert "are now" in done.output
    removed = CliRunner().invoke(
        cli, ["retention", "apply", "--data", home, "--keep", "*=1d", "--dry-run", "--format", "json"]
    )
    assert removed.exit_code == 0, removed.output
    assert CliRunner().invoke(cli, ["retention", "apply", "--data", home]).exit_code
    assert CliRunner().invoke(cli, ["retention", "apply", "--data", str(city), "--keep", "*=1d"]).exit_code
