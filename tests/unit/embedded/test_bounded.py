"""A bounded run: files in any order are one input; every record ends as exactly one of three."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from citywatch.errors import DiskFullError, SettingError, SourceError, StoreError
from citywatch.mappings.parse import Parser
from citywatch.settings import Settings
from citywatch.stores import directory
from citywatch.stores.compaction import Compactor
from citywatch.stores.directory import DataDirectory

from .city import DEVICES, PLATES, THREE, File, alerts, chunk, engine, event, rules, run, stored


def test_every_record_ends_as_exactly_one_of_event_duplicate_rejected(tmp_path: Path) -> None:
    summary = run(tmp_path, event(1, 0), event(2, 1), event(1, 0), '{"id": "no source"}', "no json")
    assert summary.as_json() == {"read": 5, "events": 2, "duplicates": 1, "rejected": 2, "late": 0, "alerts": 0}


def test_events_are_numbered_in_the_order_of_their_receipt_over_all_files(tmp_path: Path) -> None:
    files = [File(chunk([event("c", 9), event("a", 3)])), File(chunk([event("b", 5), event("d", 9, 9.5)]), name="2")]
    with engine(tmp_path) as host:
        host.run_bounded(files, [Parser(Settings()).parse])
    assert stored(tmp_path) == ["a", "b", "c", "d"]


def test_of_copies_in_a_run_the_one_received_first_counts(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0, 8, plate="LATER"), event(1, 0, 2, plate="FIRST"))
    assert stored(tmp_path, "plate") == ["FIRST"]


def test_the_same_file_read_again_adds_only_duplicates(tmp_path: Path) -> None:
    texts = [event(n, n) for n in range(5)]
    run(tmp_path, *texts)
    assert run(tmp_path, *texts, event(5, 5)).as_json() == {
        "read": 6, "events": 1, "duplicates": 5, "rejected": 0, "late": 0, "alerts": 0
    }  # fmt: skip
    assert stored(tmp_path, "seq") == [1, 2, 3, 4, 5, 6]


def test_an_identity_is_known_for_ever_and_a_conflict_is_a_duplicate_that_is_counted(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0, plate="K1"))
    run(tmp_path, event(2, 200 * 86_400))
    with engine(tmp_path) as host:
        summary = host.run_bounded([File(chunk([event(1, 0, plate="K2")]))], [Parser(Settings()).parse])
        assert host.status()["counts"]["conflicts"] == 1
    assert summary.duplicates == 1
    assert stored(tmp_path, "plate") == ["K1", None]


def test_a_file_older_than_the_clock_is_backfill_and_no_rule_sees_it(tmp_path: Path) -> None:
    ruleset = rules(tmp_path / "rules", PLATES)
    run(tmp_path / "data", event(1, 1000, plate="K1"), ruleset=ruleset)
    within, before = event(2, 995, plate="K2"), event(3, 994.9, plate="K3")
    run(tmp_path / "data", within, before, ruleset=ruleset)
    assert stored(tmp_path / "data", "id, backfill") == [("1", False), ("3", True), ("2", False)]
    assert [alert["evidence"][0]["id"] for alert in alerts(tmp_path / "data")] == ["2", "1"]


def test_duplicates_and_rejected_records_do_not_move_the_clock(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0))
    run(tmp_path, event(1, 0, 500), '{"specversion": "1.0"}')
    run(tmp_path, event(2, 100))
    assert stored(tmp_path, "id, backfill") == [("1", False), ("2", False)]


def test_a_run_goes_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    ruleset = rules(tmp_path / "rules", THREE)
    first = run(tmp_path / "data", event(1, 0, plate="K1"), event(2, 60, plate="K1"), ruleset=ruleset)
    second = run(tmp_path / "data", event(3, 120, plate="K1"), ruleset=ruleset)
    third = run(tmp_path / "data", event(4, 180, plate="K1"), ruleset=ruleset)
    assert [first.alerts, second.alerts, third.alerts] == [0, 1, 0]
    (alert,) = alerts(tmp_path / "data")
    assert alert["count"] == 2


def test_late_events_are_counted(tmp_path: Path) -> None:
    assert run(tmp_path, event(1, 0, 61), event(2, 30, 61)).late == 1


def test_a_new_rule_may_want_events_that_others_have_kept_and_whose_times_are_equal(tmp_path: Path) -> None:
    texts = [event(n, 0, plate=f"K{n % 2}") for n in range(4)]
    run(tmp_path / "data", *texts, ruleset=rules(tmp_path / "old", THREE))
    both = rules(tmp_path / "new", THREE, DEVICES)
    run(tmp_path / "data", event(4, 1, plate="K0"), ruleset=both)
    run(tmp_path / "data", event(5, 0, 2, plate="K0"), event(6, 0, 2, plate="K1"), ruleset=both)
    found = {alert["group"].get("plate"): alert["count"] for alert in alerts(tmp_path / "data")}
    assert found == {"K0": 4, "K1": 3, None: 7}


def test_a_new_rule_first_reads_the_past_in_silence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    two = [event(n, 60 * n, plate=plate) for n, plate in enumerate(["K1", "K1", "OLD", "OLD", "OLD"])]
    run(data, *two)
    summary = run(
        data, event(9, 200, 400, plate="LATE"), event(8, 400, plate="K1"), ruleset=rules(tmp_path / "r", THREE)
    )
    assert {(alert["group"]["plate"], alert["count"]) for alert in alerts(data)} == {("K1", 1), ("OLD", 1)}
    assert summary.alerts == 2


def test_a_source_that_breaks_off_accepts_no_event(tmp_path: Path) -> None:
    class Broken(File):
        def chunks(self):  # type: ignore[no-untyped-def]  # as File has it
            yield chunk([event(1, 0)])
            raise SourceError("the disk with the file is gone")

    with engine(tmp_path) as host, pytest.raises(SourceError, match="gone"):
        host.run_bounded([Broken()], [Parser(Settings()).parse])
    assert stored(tmp_path) == []


def test_a_nearly_full_disk_accepts_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, event(1, 0))
    monkeypatch.setattr(directory.DataDirectory, "free", lambda _: (0, 1 << 24))
    with pytest.raises(DiskFullError, match="nothing was accepted"):
        run(tmp_path, event(2, 0))
    monkeypatch.undo()
    assert stored(tmp_path) == ["1"]
    assert run(tmp_path, event(1, 0), event(2, 0)).as_json()["events"] == 1


def test_lost_identities_are_made_again_from_history(tmp_path: Path) -> None:
    run(tmp_path, *(event(n, n) for n in range(9)))
    assert Compactor(DataDirectory(tmp_path)).publish(until=9) == 9
    Compactor(DataDirectory(tmp_path)).remove_replaced(grace_s=-1)
    run(tmp_path, event(9, 9))
    shutil.rmtree(tmp_path / "identity")
    assert run(tmp_path, *(event(n, n) for n in range(11))).as_json()["events"] == 1
    assert run(tmp_path, *(event(n, n) for n in range(11))).as_json()["duplicates"] == 11


def test_a_lost_step_is_made_again_from_history(tmp_path: Path) -> None:
    data, ruleset = tmp_path / "data", rules(tmp_path / "rules", THREE)
    run(data, *(event(n, n, plate="K1") for n in range(3)), ruleset=ruleset)
    Compactor(DataDirectory(data)).publish(until=3)
    Compactor(DataDirectory(data)).remove_replaced(grace_s=-1)
    (data / "engine.duckdb").unlink()
    run(data, event(3, 3, plate="K1"), ruleset=ruleset)
    (alert,) = alerts(data)
    assert alert["count"] == 2


def test_a_missing_file_of_identities_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0))
    (tmp_path / "identity" / "manifest.json").write_text('{"cursor": 1, "runs": ["gone.run"]}')
    with pytest.raises(StoreError, match=r"gone.run is missing \(remove .*identity: it is made again"):
        run(tmp_path, event(1, 0))


def test_a_run_with_another_lateness_is_refused(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0))
    with (
        pytest.raises(SettingError, match="made with lateness = 60s, this run says 10s"),
        engine(tmp_path, settings=Settings(lateness=10_000_000)),
    ):
        pass


def test_spilling_to_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citywatch.engine.embedded.bounded.SPOOL_BYTES", 1000)
    texts = [event(n, (n * 37) % 100) for n in range(100)]
    with engine(tmp_path) as host:
        files = [File(chunk(texts[start : start + 7]), name=str(start)) for start in range(0, 100, 7)]
        host.run_bounded(files, [Parser(Settings()).parse])
    assert stored(tmp_path) == sorted((str(n) for n in range(100)), key=lambda n: (int(n) * 37) % 100)
    assert list((tmp_path / "tmp").glob("sort-*")) == []
