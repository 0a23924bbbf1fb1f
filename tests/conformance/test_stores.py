"""What every kind of store promises, whatever its address: those of the registry are picked up by themselves.

A new line of the registry needs a `Case` in `stores.py`; without one the first test fails.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from citywatch.analytics.question import questions
from citywatch.cli.elsewhere import ONLY
from citywatch.connections import hdfs
from citywatch.engine.embedded import Engine
from citywatch.errors import CitywatchError, StoreError, UsageError
from citywatch.event import COLUMNS
from citywatch.mappings.load import load_mappings, shipped
from citywatch.mappings.parse import Parser
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.sources import open_source
from citywatch.stores import STORES, open_store
from citywatch.stores.archive import publishing
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.merging import merge
from citywatch.stores.archive.reading import Reader
from citywatch.stores.archive.writing import MOST
from citywatch.stores.history import History
from tests.archives import events
from tests.cluster.city import REPORT, answer, city_in
from tests.cluster.hdfs.files import paths
from tests.conformance.stores import CASES, Case, Elsewhere, Kept
from tests.mqtt.conftest import stored
from tests.unit.desk.facts import alert_id, event, fact, table

LINES = [(use, scheme) for use, schemes in STORES.items() for scheme in schemes]
KNOWN = ", ".join(["source", "id", "type", *(column.name for column in COLUMNS if not column.derived)])

PATIENCE_S = 60


def data_directory(data: Path) -> Path:
    """A data directory with three reports of persons and two messages of a drone, and nothing on its desk."""
    drone = {"specversion": "1.0", "source": "drone/4", "type": "drone.position", "time": "2026-05-01T12:00:00Z"}
    lines: list[dict[str, Any]] = [{**REPORT, "id": str(number)} for number in range(3)]
    lines += [{**drone, "id": str(number), "data": {"device_id": "4", "lat": 40.7, "lon": -73.9}} for number in (1, 2)]
    file = data.with_name("events.ndjson")
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    parser = Parser(Settings(), load_mappings([shipped()]))
    with Engine(data, Ruleset(()), Settings()) as engine:
        assert engine.run_bounded(open_source(str(file)), [parser.parse]).events == len(lines)
    return data


def cases(*, elsewhere: bool = False) -> list[Any]:
    """All of them, or those that a data directory is taken over to."""
    return [
        pytest.param(case, id=name, marks=pytest.mark.cluster if case.cluster else ())
        for name, case in CASES.items()
        if not elsewhere or "desk" not in name
    ]


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """One store of each kind for all sentences; each of them has alerts of its own."""
    home = tmp_path_factory.mktemp("stores")
    with request.param.open(home, data_directory(home / "data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a minute of a city."""
    return city_in(tmp_path_factory.mktemp("city") / "data")


every = pytest.mark.parametrize("kept", cases(), indirect=True)
taken_over = pytest.mark.parametrize("kept", cases(elsewhere=True), indirect=True)


def told(kept: Kept, *names: str) -> list[dict[str, Any]]:
    """What the store says of the alerts that a test calls so."""
    ids = {alert_id(name) for name in names}
    return sorted((alert for alert in kept.alerts() if alert["id"] in ids), key=lambda alert: alert["values"]["n"])


def until_it_works(work: Callable[[], object]) -> None:
    """Clients need a moment to find out that a server is there again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            work()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def test_every_line_of_the_registry_is_tested_here() -> None:
    assert {line for case in CASES.values() for line in case.lines} == set(LINES)


@every
def test_what_is_told_twice_is_there_once_and_reads_as_it_was_told(kept: Kept) -> None:
    words = 'a "quote", a \\, a\nline, \x1f and é'
    seen = [event("17", plate="K1", code=46), event("18", plate=None)]
    facts = [fact(f"twice {n}", reason=words, values={"n": n}, group={"plate": f"K{n}"}, evidence=seen) for n in (0, 1)]
    kept.put(table(facts))
    kept.put(table(facts))
    alerts = told(kept, "twice 0", "twice 1")
    assert len(alerts) == 2
    for number, alert in enumerate(alerts):
        plain = ("id", "rule", "rule_id", "rule_version", "title", "level", "count", "late", "lat", "lon", "address")
        assert {name: alert[name] for name in plain} == {name: facts[number][name] for name in plain}
        assert (alert["reason"], alert["evidence"], alert["group"]) == (words, seen, {"plate": f"K{number}"})
        assert alert["first_seen"] == alert["last_seen"] == "2026-05-01T12:00:00.000000Z"


@every
def test_what_is_told_anew_of_an_alert_stands_in_the_place_of_what_was_told_before(kept: Kept) -> None:
    first = fact("anew", values={"n": 1})
    kept.put(table([first]))
    kept.put(table([{**first, "count": 7, "level": "critical", "last_seen": first["last_seen"] + 60_000_000}]))
    (alert,) = told(kept, "anew")
    assert (alert["count"], alert["level"]) == (7, "critical")
    assert alert["last_seen"] == "2026-05-01T12:01:00.000000Z"


@every
def test_while_it_is_away_it_says_what_to_do_and_afterwards_nothing_is_lost(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs, "PATIENCE_S", 0.0)
    kept.put(table([fact("before", values={"n": 1})]))
    during = table([fact("during", values={"n": 2})])
    with kept.away():
        with pytest.raises(StoreError) as writing:
            kept.put(during)
        with pytest.raises(StoreError) as reading:
            kept.alerts()
    assert writing.value.hint
    assert reading.value.hint
    until_it_works(lambda: kept.put(during))
    assert [alert["values"]["n"] for alert in told(kept, "before", "during")] == [1, 2]


@taken_over
def test_one_that_goes_away_while_it_is_asked_says_what_to_do(kept: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdfs, "PATIENCE_S", 0.0)
    kept.put(table([fact("asked", values={"n": 1})]))
    with (
        pytest.raises(StoreError) as asking,
        duckdb.connect() as con,
        open_store("reports", kept.address, con) as reader,
    ):
        reader.create_view()
        with kept.away():
            con.execute("SELECT count(data) FROM events").fetchall()
            reader.tables()["alerts"]()
    assert asking.value.hint
    assert "Traceback" not in asking.value.what
    until_it_works(lambda: kept.put(table([fact("asked again", values={"n": 2})])))


@taken_over
def test_events_are_there_once_and_read_as_history_has_them(kept: Elsewhere) -> None:
    kept.put(table([fact("with events", values={"n": 1})]))
    kept.take_over()
    history = stored(kept.data, KNOWN)
    wanted = sorted((row for row in history if kept.types in ("%", row[2])), key=lambda row: row[:2])
    assert kept.events(KNOWN) == wanted
    assert len(wanted) >= 3


@taken_over
def test_one_that_holds_nothing_says_so_and_what_to_do(kept: Elsewhere) -> None:
    with (
        pytest.raises(StoreError) as nothing,
        duckdb.connect() as con,
        open_store("reports", f"{kept.address}_none", con) as reader,
    ):
        reader.create_view()
    assert nothing.value.hint


def readers(use: str = "reports") -> list[Any]:
    """Those that reports read, and that are used like that, too."""
    return [each for each in cases() if {"reports", use} <= {used for used, _ in each.values[0].lines}]


@pytest.mark.parametrize("case", readers())
def test_every_report_that_it_answers_has_the_rows_of_the_laptop(case: Case, city: Path, tmp_path: Path) -> None:
    with case.open(tmp_path, city) as kept:
        assert isinstance(kept, Elsewhere)
        kept.take_over()
        able = [name for name, asking in questions().items() if not asking.takes_truth]
        asked = ONLY.get(kept.address.partition("://")[0], able)
        with_rows = 0
        for name in asked:
            here = answer(city, name)
            assert answer(kept.address, name) == here, name
            with_rows += bool(len(here.rows))
    assert with_rows > 0.6 * len(asked)


@pytest.mark.parametrize("case", readers("archive"))
def test_small_files_of_an_archive_become_one_and_a_reader_that_began_before_reads_on(
    case: Case, city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "ROUND", 450)
    with case.open(tmp_path, city) as kept:
        assert isinstance(kept, Elsewhere)
        kept.take_over()
        archive = Archive(kept.address)
        before = archive.manifest()
        assert max(len(files) for files in before.events.values()) >= 3
        with duckdb.connect() as con:
            reader = Reader(archive, con)
            reader.create_view()
            fewer = merge(archive, 2)
            archive.clean()
            assert con.execute("SELECT count(*) FROM events").fetchall() == [(History(city).rows(),)]
        after = archive.manifest()
        assert {len(files) for files in after.events.values()} == {1}
        assert all(file.bytes <= MOST for files in after.events.values() for file in files)
        assert sum(map(len, before.events.values())) - sum(map(len, after.events.values())) == fewer > 0
        assert events(archive) == stored(city, "source, id, time_precision, data")
        replaced = {file.path for files in before.events.values() for file in files} - {f.path for f in after.files()}
        assert archive.clean(grace_s=-60) >= len(replaced)
        assert not replaced & set(paths(kept.address))
        assert events(archive) == stored(city, "source, id, time_precision, data")


@pytest.mark.parametrize(("use", "address"), [(use, case.wrong) for case in CASES.values() for use, _ in case.lines])
def test_an_address_that_says_nothing_is_wrong_usage(use: str, address: str) -> None:
    with pytest.raises(UsageError) as wrong, duckdb.connect() as con:
        open_store(use, address, *[con] if use == "reports" else []).__enter__()
    assert wrong.value.hint


@pytest.mark.parametrize("use", STORES)
def test_a_scheme_that_there_is_not_names_those_that_there_are(use: str) -> None:
    with pytest.raises(CitywatchError) as wrong:
        open_store(use, "gopher://x")
    assert all(f"{scheme}://" in str(wrong.value) for scheme in STORES[use] if scheme)
