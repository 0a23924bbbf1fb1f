"""Tickets are issued once, in a file that the city's own reader understands, and as events."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from citywatch.errors import StoreError
from citywatch.mappings.load import load_mappings, shipped
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.settings import Settings
from citywatch.stores import issuing
from citywatch.stores.city_form import COLUMNS
from citywatch.stores.desk import Desk
from citywatch.stores.desk.tickets import Batch
from citywatch.stores.issuing import issue
from citywatch.ticketing import Decision, Selection, Verdict
from tests.unit.desk.violations import corrected, violation

FIRST = 9_900_000_001
YES = Decision(Verdict.APPROVE, by="anna", channel="cli")
ADDRESS = "907 W 91st St"


def approve_all(desk: Desk) -> None:
    proposed = desk.proposals(Selection(standings=["proposed"]))
    desk.decide_all([(proposal["id"], None) for proposal in proposed], YES)


def export(desk: Desk, directory: Path, first: int = FIRST) -> list[Batch]:
    return issue(desk, directory, by="anna", first=first, zone="America/New_York")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def events(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in desk.take_inbox()]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with Desk(tmp_path / "desk.sqlite") as opened:
        yield opened


def test_an_approved_proposal_becomes_a_row_and_an_event(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations(
        [violation("v1", address=ADDRESS, borough="Manhattan", image_id="i1"), violation("v2", plate="K2")]
    )
    first, second = desk.proposals()
    desk.decide(first["id"], YES)
    (batch,) = export(desk, tmp_path / "tickets")
    assert batch.file == tmp_path / "tickets" / "tickets-000001.csv"
    (row,) = rows(batch.file)
    assert tuple(row) == COLUMNS
    assert (row["Summons Number"], row["Plate ID"], row["Violation Code"]) == (str(FIRST), "K1", "46")
    assert (row["Issue Date"], row["Violation Time"], row["Violation County"]) == ("05/01/2026", "0800A", "NY")
    assert (row["House Number"], row["Street Name"], row["Violation Precinct"]) == ("907", "W 91st St", "14")
    (event,) = events(desk)
    assert (event["type"], event["source"], event["id"]) == ("ticket.issued", "citywatch/tickets", str(FIRST))
    assert (event["time"], event["data"]["plate"], event["data"]["fine"]) == ("2026-05-01T12:00:00.000000Z", "K1", 115)
    assert event["data"]["violations"] == [{"source": "drone/4", "id": "v1"}]
    assert [desk.proposal(p["id"])["state"] for p in (first, second)] == ["exported", "proposed"]


def test_what_is_exported_is_not_exported_again(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations([violation("v1")])
    approve_all(desk)
    export(desk, tmp_path)
    assert export(desk, tmp_path) == []
    desk.put_violations([violation("v2", plate="K2")])
    approve_all(desk)
    (second,) = export(desk, tmp_path, first=5)
    assert second.file.name == "tickets-000002.csv"
    assert [(row["Summons Number"], row["Plate ID"]) for row in rows(second.file)] == [(str(FIRST + 1), "K2")]
    assert [event["id"] for event in events(desk)] == [str(FIRST), str(FIRST + 1)]


def test_nothing_approved_makes_no_file(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations([violation("v1")])
    assert export(desk, tmp_path / "tickets") == []
    assert list((tmp_path / "tickets").iterdir()) == []


@pytest.mark.parametrize("step", ["durable.write", "Desk.finish_batch"])
def test_a_batch_that_was_interrupted_is_finished_by_the_next(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is gone")

    desk.put_violations([violation("v1")])
    approve_all(desk)
    with monkeypatch.context() as patched:
        owner, name = step.split(".")
        patched.setattr(getattr(issuing, owner), name, broken)
        with pytest.raises(StoreError):
            export(desk, tmp_path / "a")
    desk.put_violations([violation("v2", plate="K2")])
    approve_all(desk)
    finished = export(desk, tmp_path / "b")
    assert [(row["Summons Number"], row["Plate ID"]) for b in finished for row in rows(b.file)] == [
        (str(FIRST), "K1"),
        (str(FIRST + 1), "K2"),
    ]
    # What had its file before the stop keeps it; what had none goes where one asks for it now.
    assert finished[0].file.parent.name == ("a" if step == "Desk.finish_batch" else "b")
    assert [event["id"] for event in events(desk)] == [str(FIRST), str(FIRST + 1)]


def test_where_no_file_can_be_written_nothing_is_numbered(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk.put_violations([violation("v1")])
    approve_all(desk)
    with pytest.raises(StoreError):
        export(desk, tmp_path / "file" / "tickets")
    assert [p["state"] for p in desk.proposals()] == ["approved"]


def test_a_correction_after_the_export_proposes_anew_and_tells_of_the_ticket(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations([violation("v1")])
    approve_all(desk)
    export(desk, tmp_path)
    desk.put_violations([], [corrected("c1", "v1", 38)])
    old, new = sorted(desk.proposals(), key=lambda proposal: proposal["state"])
    assert (old["state"], old["violation_code"], old["summons_number"]) == ("exported", 46, str(FIRST))
    assert (new["state"], new["violation_code"], new["ticketed"]) == ("proposed", 38, [str(FIRST)])


@pytest.mark.parametrize("code", [46, 38])
def test_an_exported_ticket_stays_whatever_is_corrected_back(desk: Desk, tmp_path: Path, code: int) -> None:
    desk.put_violations([violation("v1")])
    approve_all(desk)
    export(desk, tmp_path)
    desk.put_violations([], [corrected("c1", "v1", 38, 1)])
    desk.put_violations([], [corrected("c2", "v1", code, 2)])
    assert [p["violation_code"] for p in desk.proposals(Selection(standings=["exported"]))] == [46]
    assert len(desk.proposals()) == (1 if code == 46 else 2)


def test_the_mapping_of_the_citys_files_reads_what_is_exported(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations(
        [
            violation(
                "v1", address=ADDRESS, borough="Manhattan", plate_state="NJ", plate_type="PAS", vehicle_make="FORD"
            ),
            violation("v2", 1, plate="K2", code=21, precinct=None, vehicle_color="RED", vehicle_year=2019),
            violation("v3", 2, plate="K3", address='=HYPERLINK("x"),\n2nd line', borough="Queens"),
            violation("v4", 16 * 60, plate="K4", time_precision="day"),
        ]
    )
    approve_all(desk)
    (batch,) = export(desk, tmp_path)
    header, *lines = batch.file.read_bytes().splitlines()
    records = pa.Table.from_pylist(
        [{"line": n, "raw": line} for n, line in enumerate(lines, 2)], schema=records_schema()
    )
    chunk = Chunk(Origin(str(batch.file)), Format.CSV, records, tuple(next(csv.reader([header.decode()]))))
    parsed = Parser(Settings(), load_mappings([shipped()])).parse(chunk)
    assert not len(parsed.rejected)
    names = "plate plate_state violation_code precinct borough address time_precision vehicle_year".split()
    assert [tuple(event.values()) for event in parsed.events.select(names).to_pylist()] == [
        ("K1", "NJ", 46, 14, "Manhattan", ADDRESS, "minute", 0),
        ("K2", None, 21, None, None, None, "minute", 2019),
        ("K3", None, 46, 14, "Queens", '=HYPERLINK("x"), 2nd line', "minute", 0),
        ("K4", None, 46, 14, None, None, "day", 0),
    ]
    times = [str(time) for time in parsed.events["time"].to_pylist()]
    assert times[:2] == ["2026-05-01 12:00:00+00:00", "2026-05-01 12:01:00+00:00"]


def test_no_cell_is_a_formula_or_spans_lines(desk: Desk, tmp_path: Path) -> None:
    desk.put_violations([violation("v1", address="=1+1", vehicle_make="@x\n\x00y")])
    approve_all(desk)
    (batch,) = export(desk, tmp_path)
    (row,) = rows(batch.file)
    assert row["Street Name"] == " =1+1"
    assert row["Vehicle Make"] == " @x y"
    assert batch.file.read_text().count("\n") == 2
