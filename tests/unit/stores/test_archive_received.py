"""What a job on Spark has received counts once, whoever else changes the archive, and however often it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from citywatch.errors import StoreError
from citywatch.records.chunk import rejected_schema
from citywatch.stores.archive.manifest import Archive, Manifest
from citywatch.stores.archive.merging import merge
from citywatch.stores.archive.reading import Reader, scan
from citywatch.stores.archive.received import WRITTEN, Received, take_over, written_events, written_rejected
from citywatch.stores.archive.writing import stored_schema

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETTINGS = {"zone": "America/New_York"}


def events(first: int, count: int, *, days: int = 0) -> pa.Table:
    """Events with these numbers, so many days after the others."""
    time = NOON + timedelta(days=days)
    rows = [
        {"seq": n, "source": "s", "id": str(n), "type": "a.b", "time": time, "received_at": time, "raw": b"%d" % n}
        for n in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(raw=True))


def rejected(count: int) -> pa.Table:
    row = {"source": "topic/0", "reason": "no JSON", "raw": b"\xff", "received_at": NOON}
    return pa.Table.from_pylist([{"id": str(n), "line": n, **row} for n in range(count)], schema=rejected_schema())


def told(archive: Archive, number: int, *tables: pa.Table, job: str = "spark 1", bad: int = 0) -> bool:
    """Write what a batch brings, and let it count."""
    written = [written_events(archive, table) for table in tables] + [written_rejected(archive, rejected(bad))] * (
        bad > 0
    )
    archive.settle()
    return take_over(
        archive, Received(job, number, pa.concat_tables([WRITTEN.empty_table(), *written]), SETTINGS), None
    )


def kept(archive: Archive) -> list[tuple[str, bytes]]:
    with duckdb.connect() as con:
        files = Reader(archive, con).events()
        return con.execute(f"SELECT id, raw FROM {scan(archive, files)} ORDER BY seq").fetchall()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def test_a_batch_that_is_told_again_adds_nothing(archive: Archive) -> None:
    assert told(archive, 0, events(1, 3), bad=2)
    assert told(archive, 1, events(4, 2))
    before = archive.manifest()
    assert not told(archive, 1, events(4, 2))
    assert archive.manifest() == before
    assert kept(archive) == [(str(n), b"%d" % n) for n in range(1, 6)]
    assert (before.seq, before.batch) == (5, 1)
    assert archive.clean(grace_s=-60) == 1, "the files that the second telling wrote"
    assert len(kept(archive)) == 5
    with duckdb.connect() as con:
        assert Reader(archive, con).rejected()["reason"].to_pylist() == ["no JSON"] * 2


def test_events_of_a_batch_stand_by_day_and_type(archive: Archive) -> None:
    told(archive, 0, pa.concat_tables([events(1, 2), events(3, 2, days=-3)]))
    assert sorted(archive.manifest().events) == ["day=2026-04-28/type=a.b", "day=2026-05-01/type=a.b"]


def test_a_batch_and_a_merge_at_the_same_time_lose_nothing_of_each_other(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(archive, 0, events(1, 3))
    told(archive, 1, events(4, 3))
    commit = Archive.commit
    meanwhile = [True]

    def interrupted(self: Archive, manifest: Manifest, replaced: list[object]) -> Manifest | None:
        if meanwhile:
            meanwhile.clear()
            told(Archive(self.address), 2, events(7, 3))
        return commit(self, manifest, replaced)  # type: ignore[arg-type] # as it was given

    monkeypatch.setattr(Archive, "commit", interrupted)
    assert merge(archive, 2) == 1
    assert not meanwhile
    assert [id_ for id_, _ in kept(archive)] == [str(n) for n in range(1, 10)]


def test_a_job_with_another_checkpoint_is_refused(archive: Archive) -> None:
    told(archive, 0, events(1, 1))
    with pytest.raises(StoreError, match="checkpoint"):
        told(archive, 0, events(1, 1), job="spark 2")
    assert len(kept(archive)) == 1
