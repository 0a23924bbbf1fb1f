"""`citywatch tickets` as other programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from citywatch.cli.tickets import tickets
from citywatch.errors import ProposalError, StoreError, UnknownProposalError
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

from .violations import violation


@pytest.fixture
def data(tmp_path: Path) -> Path:
    DataDirectory(tmp_path).prepare(Settings())
    with Desk(tmp_path / "desk.sqlite") as desk:
        desk.put_violations([violation("v1", address="907 W 91st St"), violation("v2", 1, plate="K2", code=14)])
    return tmp_path


def call(data: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(tickets, [*arguments, "--data", str(data)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def ids(data: Path, *arguments: str) -> list[str]:
    return [json.loads(line)["id"] for line in call(data, "list", "--format", "ndjson", *arguments).stdout.splitlines()]


def test_the_list_is_a_line_a_proposal(data: Path) -> None:
    table = call(data, "list").stdout.splitlines()
    assert len(table) == 3
    assert table[1].split()[3:7] == ["proposed", "K1", "46", "$115"]
    assert len(ids(data)) == 2
    assert ids(data, "--code", "14") == ids(data)[1:]
    assert ids(data, "--state", "approved") == []


def test_an_empty_list_says_so_and_prints_nothing(data: Path) -> None:
    result = call(data, "list", "--state", "refused")
    assert (result.stdout, result.stderr) == ("", "no proposals\n")


def test_approving_refusing_and_exporting(data: Path) -> None:
    first, second = ids(data)
    assert "approved" in call(data, "approve", first[:8]).stderr
    assert "refused" in call(data, "refuse", second[:8], "--reason", "not to be read").stderr
    line = json.loads(call(data, "export", "--format", "ndjson", "--to", str(data / "out")).stdout)
    assert line == {"batch": 1, "file": f"{data}/out/tickets-000001.csv", "tickets": 1, "summons": ["9900000001"]}
    again = call(data, "export")
    assert (again.stdout, again.stderr) == ("", "nothing is approved that was not exported before\n")
    with Desk(data / "desk.sqlite") as desk:
        assert "tickets export of 1" in [entry["what"] for entry in desk.audited()]


def test_what_cannot_be_is_an_error_that_says_why(data: Path) -> None:
    call(data, "refuse", ids(data)[0], code=2)
    with pytest.raises(UnknownProposalError, match="no proposal begins with ffff"):
        call(data, "approve", "ffff")
    call(data, "approve", ids(data)[0])
    with pytest.raises(ProposalError, match="is approved"):
        call(data, "approve", *ids(data))
    assert len(ids(data, "--state", "proposed")) == 1


def test_where_there_is_no_data_directory_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no data directory"):
        call(tmp_path / "none", "list")
    assert not (tmp_path / "none").exists()
