"""What a job on Spark has received counts once, whoever else changes the archive, and however often it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

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


def events(first: int, count: int, *, days: int = 0, size: int = 0) -> pa.Table:
    """Events with these numbers, so many days after the others, with so many bytes or their number as bytes."""
    time = NOON + timedelta(days=days)
    same = {"source": "s", "type": "a.b", "time": time, "received_at": time}
    rows = [
        {"seq": n, "id": str(n), "raw": _bytes(n, size) if size else b"%d" % n, **same}
        for n in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(raw=True))


def rejected(count: int, *, first: int = 0, days: int = 0, size: int = 1) -> pa.Table:
    """Records that are none, of so many bytes each."""
    row = {"source": "topic/0", "reason": "no JSON", "received_at": NOON + timedelta(days=days)}
    rows = [{"id": str(n), "line": n, "raw": _bytes(n, size), **row} for n in range(first, first + count)]
    return pa.Table.from_pylist(rows, schema=rejected_schema())


def _bytes(number: int, size: int) -> bytes:
    """The same for the same number, and nothing that can be packed."""
    return Random(number).randbytes(size)  # noqa: S311 - no secret


def told(archive: Archive, number: int, *tables: pa.Table, job: str = "spark 1", bad: pa.Table | None = None) -> bool:
    """Write what a batch brings, and let it count."""
    written = [written_events(archive, table) for table in tables]
    written += [] if bad is None else [written_rejected(archive, bad)]
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
    assert told(archive, 0, events(1, 3), bad=rejected(2))
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
    assert merge(archive, 2) == 2, "two, and then the one that came meanwhile"
    assert not meanwhile
    assert [id_ for id_, _ in kept(archive)] == [str(n) for n in range(1, 10)]


def _sizes(archive: Archive) -> dict[str, list[int]]:
    manifest = archive.manifest()
    return {part: [f.bytes for f in files] for part, files in {**manifest.events, **manifest.rejected}.items()}


def _refused(archive: Archive) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        found = [file for files in archive.manifest().rejected.values() for file in files]
        return con.execute(f"FROM {scan(archive, found)} ORDER BY line").fetchall()


def test_after_a_merge_every_file_is_within_the_bounds_but_for_that_of_a_day_with_little(archive: Archive) -> None:
    least, most = 64 << 10, 512 << 10
    told(archive, 0, events(0, 3_000, size=300))  # of more than a file
    told(archive, 1, events(3_000, 1_500, days=1, size=300), events(10_000, 1, days=2), bad=rejected(400, size=2_000))
    for n in range(12):
        bad = rejected(1, first=400 + n, size=1_000), rejected(3, first=500 + 3 * n, days=1, size=10_000)
        late = [events(5_000 + n, 1, days=1), events(6_000 + 10 * n, 10, days=3, size=1_000), events(7_000 + n, 1)]
        told(archive, 2 + n, *late, bad=pa.concat_tables(bad))
    before, refused, sizes = kept(archive), _refused(archive), _sizes(archive)
    outside = {part for part, found in sizes.items() if any(not least <= size <= most for size in found)}
    assert outside == sizes.keys()

    merge(archive, 2, least=least, most=most)
    little = {"day=2026-05-03/type=a.b"}
    sizes = _sizes(archive)
    assert {part for part, found in sizes.items() if sum(found) < least} == little
    assert [s for part in sizes.keys() - little for s in sizes[part] if not least <= s <= most] == []
    assert {part for part, found in sizes.items() if len(found) == 1} == little | {"day=2026-05-04/type=a.b"}
    assert (kept(archive), _refused(archive)) == (before, refused)

    number = archive.manifest().number
    assert merge(archive, 2, least=least, most=most) == 0
    assert archive.manifest().number == number, "there is nothing left to do"


def test_records_that_a_job_could_not_read_become_one_file_a_day(archive: Archive) -> None:
    for n in range(6):
        told(archive, n, bad=pa.concat_tables([rejected(2, first=4 * n), rejected(2, first=4 * n + 2, days=1)]))
    before = _refused(archive)
    assert len(before) == 24
    assert merge(archive, 2) == 10
    assert {part: len(files) for part, files in archive.manifest().rejected.items()} == {
        "2026-05-01": 1,
        "2026-05-02": 1,
    }
    assert _refused(archive) == before
    assert archive.clean(grace_s=-60) == 12
    assert _refused(archive) == before


def test_a_job_with_another_checkpoint_is_refused(archive: Archive) -> None:
    told(archive, 0, events(1, 1))
    with pytest.raises(StoreError, match="checkpoint"):
        told(archive, 0, events(1, 1), job="spark 2")
    assert len(kept(archive)) == 1
