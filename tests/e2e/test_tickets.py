"""Whenever the power goes while tickets are exported, each is in one file once, and the engine hears of it once."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from citywatch.stores.desk import Desk
from citywatch.stores.issuing import issue
from citywatch.ticketing import Decision, Verdict
from tests.e2e.forks import FORKS
from tests.e2e.power import Power
from tests.unit.desk.violations import violation

FIRST = 9_900_000_001


def exports(data: Path, at: int, torn: bool) -> None:
    """What the forked process does."""
    Power(data / "trace", at, torn=torn).plug_in()
    with Desk(data / "desk.sqlite") as desk:
        issue(desk, data / "tickets", by="anna", first=FIRST, zone="America/New_York")
    os._exit(0)


def export(data: Path, at: int = 0, *, torn: bool = False) -> int:
    process = FORKS.Process(target=exports, args=(data, at, torn))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return int(process.exitcode)


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk on which three proposals are approved."""
    data = tmp_path_factory.mktemp("approved")
    with Desk(data / "desk.sqlite") as desk:
        desk.put_violations([violation(f"v{n}", n, plate=f"K{n}") for n in range(3)])
        chosen = [(proposal["id"], None) for proposal in desk.proposals()]
        desk.decide_all(chosen, Decision(Verdict.APPROVE, by="anna", channel="cli"))
    return data


def issued(data: Path) -> list[tuple[str, str]]:
    """(number, plate) of every ticket in every file."""
    rows: list[Any] = []
    for file in sorted((data / "tickets").glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as opened:
            rows += csv.DictReader(opened)
    return [(row["Summons Number"], row["Plate ID"]) for row in rows]


EXPECTED = [(str(FIRST + n), f"K{n}") for n in range(3)]


@pytest.mark.parametrize("torn", [False, True], ids=["after each moment", "in each write"])
def test_a_stop_at_any_moment_neither_loses_nor_doubles_a_ticket(approved: Path, tmp_path: Path, torn: bool) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(approved, whole)
    assert export(whole) == 0
    trace = Counter(line == "write" for line in (whole / "trace").read_text().splitlines())
    moments = trace[torn]
    assert moments >= (1 if torn else 5)
    for at in range(1, moments + 1):
        data = tmp_path / f"stopped {at}"
        shutil.copytree(approved, data)
        assert export(data, at, torn=torn) != 0, f"was not stopped at {at}"
        assert issued(data) in ([], EXPECTED)
        assert export(data) == 0
        assert issued(data) == EXPECTED
        with Desk(data / "desk.sqlite") as desk:
            events = [json.loads(text) for _, text in desk.take_inbox()]
            assert [(event["id"], event["subject"]) for event in events] == EXPECTED
            assert {proposal["state"] for proposal in desk.proposals()} == {"exported"}
