"""History: every event once, by day in few files, for readers that never meet a file that has vanished."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from citywatch.errors import DiskFullError, StoreError
from citywatch.settings import DAY, HOUR, Settings
from citywatch.stores import compaction
from citywatch.stores.compaction import Compactor
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History, Manifest
from citywatch.stores.log import Counts, Footer, Log

from .events import START, batch, on_days


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare(Settings())
    return directory


@pytest.fixture(autouse=True)
def _small_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "DAY_ROWS", 3)


def put(data: DataDirectory, days: list[int], first: int) -> None:
    Log(data.log).append(on_days(days, first), Footer(START, Counts()))


def stored(data: DataDirectory) -> list[int]:
    con = duckdb.connect()
    History(data.path).create_view(con)
    return [row[0] for row in con.execute("SELECT seq FROM events ORDER BY seq").fetchall()]


def test_an_empty_directory_has_all_columns_and_no_events(data: DataDirectory) -> None:
    con = duckdb.connect()
    History(data.path).create_view(con, "everything")
    assert con.execute("SELECT count(*), count(plate), count(local_hour) FROM everything").fetchall() == [(0, 0, 0)]


def test_the_derived_columns_are_in_the_zone_of_the_directory(data: DataDirectory) -> None:
    Log(data.log).append(batch([START, START + 12 * HOUR, START + 17 * HOUR]), Footer(START, Counts()))
    con = duckdb.connect()
    History(data.path).create_view(con)
    found = con.execute("SELECT local_date::text, local_hour, local_weekday, timeframe FROM events ORDER BY seq")
    assert found.fetchall() == [
        ("2026-01-05", 7, 1, "morning"),
        ("2026-01-05", 19, 1, "evening"),
        ("2026-01-06", 0, 2, "night"),
    ]


def test_published_days_and_newest_segments_together_show_every_event_once(data: DataDirectory) -> None:
    put(data, [0, 0, 0, 1, 1, 1, 2], first=1)
    put(data, [0, 0], first=8)
    put(data, [5], first=10)
    assert Compactor(data).publish(until=9) == 9
    assert stored(data) == list(range(1, 11))
    assert sorted(Manifest.read(data.history).days) == ["", "2026-01-05", "2026-01-06"]


def test_only_whole_segments_are_published(data: DataDirectory) -> None:
    put(data, [0, 0, 0], first=1)
    put(data, [0, 0, 0], first=4)
    assert Compactor(data).publish(until=5) == 3
    assert stored(data) == [1, 2, 3, 4, 5, 6]


def test_events_go_to_the_utc_day_of_their_time_also_before_1970(data: DataDirectory) -> None:
    Log(data.log).append(batch([-1, -DAY, -2] + [0] * 3), Footer(START, Counts()))
    Compactor(data).publish(until=6)
    days = Manifest.read(data.history).days
    assert {day: files[0].rows for day, files in days.items()} == {"1969-12-31": 3, "1970-01-01": 3}


def test_small_days_wait_together_until_they_are_worth_a_file(data: DataDirectory) -> None:
    put(data, [0, 1, 2, 3], first=1)
    Compactor(data).publish(until=4)
    assert list(Manifest.read(data.history).days) == [""]
    put(data, [0, 0, 3], first=5)
    Compactor(data).publish(until=7)
    days = Manifest.read(data.history).days
    assert {day: [file.rows for file in files] for day, files in days.items()} == {"": [4], "2026-01-05": [3]}
    assert stored(data) == list(range(1, 8))


def test_dates_in_any_order_make_few_files(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)  # noqa: S311 - repeatable on purpose
    for number in range(12):
        put(data, [rng.randrange(30) for _ in range(200)], first=1 + 200 * number)
        Compactor(data).publish(until=10_000)
        while Compactor(data).merge_day():
            pass
    files = Manifest.read(data.history).files()
    assert sum(file.rows for file in files) == 2400
    assert len(files) <= 30 * compaction.DAY_FILES
    assert stored(data) == list(range(1, 2401))


def test_publishing_again_after_a_crash_changes_nothing(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    put(data, [0, 0, 0, 1], first=1)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            Compactor(data).publish(until=4)
    assert stored(data) == [1, 2, 3, 4]
    Compactor(data).publish(until=4)
    assert stored(data) == [1, 2, 3, 4]


def test_days_are_not_merged_on_a_disk_without_room_for_that(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Compactor(data)
    for first in range(1, 4 * compaction.DAY_FILES, 4):
        put(data, [1, 1, 1, 1], first)
        compactor.publish(first + 3)
    there = sorted(data.history.rglob("*"))
    with monkeypatch.context() as full:
        full.setattr(DataDirectory, "free", lambda _: (0, 0))
        with pytest.raises(DiskFullError):
            compactor.merge_day()
    assert sorted(data.history.rglob("*")) == there
    assert compactor.merge_day()


def test_a_reader_keeps_its_files_while_they_are_replaced(data: DataDirectory) -> None:
    con = duckdb.connect()
    for number in range(4):
        put(data, [0, 0, 0], first=1 + 3 * number)
        History(data.path).create_view(con)
        Compactor(data).publish(until=100)
    while Compactor(data).merge_day():
        pass
    Compactor(data).remove_replaced()
    assert con.execute("SELECT count(*) FROM events").fetchone() == (12,)


def test_replaced_files_are_removed_after_the_grace_period(data: DataDirectory) -> None:
    for number in range(4):
        put(data, [0, 0, 0], first=1 + 3 * number)
        Compactor(data).publish(until=100)
    assert Compactor(data).merge_day()
    assert Compactor(data).remove_replaced(grace_s=-1) == 8
    assert len(list(data.history.glob("*/*"))) == 1
    assert list(data.log.iterdir()) == []
    assert stored(data) == list(range(1, 13))


def test_events_after_a_number_and_up_to_another(data: DataDirectory) -> None:
    put(data, [0, 0, 0], first=1)
    Compactor(data).publish(until=3)
    put(data, [0, 0, 0], first=4)
    sql = History(data.path).relation_sql(above=2, until=5)
    assert duckdb.execute(f"SELECT seq FROM ({sql}) ORDER BY seq").fetchall() == [(3,), (4,), (5,)]


def test_a_damaged_manifest_is_an_error_that_names_it(data: DataDirectory) -> None:
    (data.history / "manifest.json").write_text("[]")
    with pytest.raises(StoreError, match=r"manifest\.json cannot be read"):
        History(data.path).paths()
