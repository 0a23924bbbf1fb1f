"""A question asked in several places, each with a part of the events, has the rows of one that is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from citywatch.analytics.archive import Archive, Read
from citywatch.analytics.period import Period
from citywatch.analytics.question import Answer, Asked, question, questions
from citywatch.engine.spark.asking import Asking, shared_out
from citywatch.engine.spark.message import bundle, unpacked
from citywatch.stores.archive import publishing
from citywatch.stores.archive.manifest import Archive as Files
from citywatch.stores.archive.manifest import File
from citywatch.stores.archive.reading import Reader, create_view
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from tests.cluster.city import city_in

PLACES = 5


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An archive of a minute of a city, in many files."""
    directory = tmp_path_factory.mktemp("city")
    data, archive = city_in(directory / "data"), Files(str(directory / "archive"))
    with Desk(data / "desk.sqlite") as desk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "ROUND", 500)
        publishing.publish(DataDirectory(data), desk.directory_name(), archive)
    return archive


@contextmanager
def opened(files: Files, *, places: int) -> Iterator[Archive]:
    """What questions are asked of; with `places` the events are there, and none are here."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        reader = Reader(files, con)
        read: dict[str, Read] = {
            "alerts": lambda _: reader.alerts(),
            "rejected": lambda _: reader.rejected(),
            "population": lambda _: reader.population(),
        }
        if not places:
            reader.create_view()
            yield Archive(con, reader.zone, read)
            return
        slices = shared_out(reader.events(), places)
        assert len(slices) == places

        def elsewhere(sql: str, beside: Mapping[str, pa.Table]) -> Iterator[pa.Table]:
            asking = Asking(files.address, reader.zone, sql, bundle(beside))
            return (unpacked(content) for part in slices for content in asking(part))

        create_view(con, files, [], reader.zone)
        yield Archive(con, reader.zone, read, elsewhere)


def answer(files: Files, name: str, places: int, **how: Any) -> Answer:
    with opened(files, places=places) as archive:
        return question(name).answer(archive, Asked(Period(None, None), **how))


def test_every_question_has_the_same_rows(files: Files) -> None:
    with_rows = 0
    with opened(files, places=0) as here, opened(files, places=PLACES) as there:
        for name, asking in questions().items():
            if not asking.takes_truth:
                asked = Asked(Period(None, None))
                expected = asking.answer(here, asked)
                assert asking.answer(there, asked) == expected, name
                with_rows += bool(len(expected.rows))
    assert with_rows > 25


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("messages", {"by": "local_hour", "top": 3}),
        ("tickets-by-code", {"by": "borough", "types": ("violations",)}),
        ("speed-at-points", {"by": "borough"}),
        ("alerts", {"by": "level"}),
        ("response-times", {"by": "precinct"}),
    ],
)
def test_it_may_be_asked_by_something(files: Files, name: str, how: dict[str, Any]) -> None:
    assert answer(files, name, PLACES, **how) == answer(files, name, 0, **how)


def test_a_period_counts_where_the_events_are(files: Files) -> None:
    with opened(files, places=0) as here, opened(files, places=PLACES) as there:
        first, last = here.span("true") or pytest.fail("no events")
        assert there.span("true") == (first, last)
        middle = int((first.timestamp() + last.timestamp()) / 2 * 1_000_000)
        asked = Asked(Period(None, middle))
        expected = question("messages").answer(here, asked)
        assert question("messages").answer(there, asked) == expected
        assert expected != question("messages").answer(here, Asked(Period(None, None)))


def test_an_empty_archive_has_no_rows_anywhere(files: Files) -> None:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        create_view(con, files, [], "America/New_York")
        archive = Archive(con, "America/New_York", {}, lambda *_: iter(()))
        assert archive.span("true") is None
        assert not len(question("tickets-by-code").answer(archive, Asked(Period(None, None))).rows)


def test_files_are_shared_out_by_size() -> None:
    found = shared_out([File(str(n), 1, size) for n, size in enumerate((9, 5, 5, 1))], 2)
    assert sorted(sum(file.bytes for file in part) for part in found) == [10, 10]
    assert shared_out([], 4) == []
    assert len(shared_out([File("a", 1, 1)], 4)) == 1


def test_workers_need_no_spark_to_answer(files: Files) -> None:
    with duckdb.connect() as con:
        events = Reader(files, con).events()
    asking = Asking(files.address, "UTC", "SELECT count(*) AS n FROM events", bundle({}))
    (content,) = asking(events)
    assert unpacked(content)["n"].to_pylist() == [sum(file.rows for file in events)]
