"""Devices and precincts beside an engine: an edit counts for what comes after it, a wrong one changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from citywatch.cli import cli
from citywatch.cli.hosting import Host
from citywatch.errors import GazetteerError
from tests.unit.embedded.city import chunk, event

HEADER = "device_id,lat,lon\n"


def _host(data: Path, devices: str) -> Host:
    data.mkdir()
    (data / "devices.csv").write_text(HEADER + devices, "utf-8")
    return Host(data)


def _lat(parse: Any) -> Any:
    return parse(chunk([event(1, 0, device_id="c1")])).events["lat"].to_pylist()[0]


class Heard:
    """Stands for an engine that is told of edits."""

    def __init__(self) -> None:
        self.rulesets = 0

    def replace_rules(self, _: object) -> None:
        self.rulesets += 1


def test_an_edit_counts_for_what_comes_after_it(tmp_path: Path) -> None:
    host = _host(tmp_path / "data", "c1,40.5,-74\n")
    parse = host.parser()
    assert _lat(parse) == 40.5
    (tmp_path / "data" / "devices.csv").write_text(HEADER + "c1,41,-74\n", "utf-8")
    assert _lat(parse) == 40.5
    host._reload(Heard())  # type: ignore[arg-type] # an engine that only counts
    assert _lat(parse) == 41.0
    (tmp_path / "data" / "devices.csv").unlink()
    host._reload(Heard())  # type: ignore[arg-type] # as above
    assert _lat(parse) is None


def test_a_wrong_edit_is_said_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, engine = _host(tmp_path / "data", "c1,40.5,-74\n"), Heard()
    parse, before = host.parser(), host.ruleset
    (tmp_path / "data" / "devices.csv").write_text(HEADER + "c1,41,-74\nc2,41\n", "utf-8")
    host._reload(engine)  # type: ignore[arg-type] # as above
    assert _lat(parse) == 40.5
    assert (engine.rulesets, host.ruleset) == (0, before)
    assert "devices.csv:3: lat and lon belong together" in capsys.readouterr().err


def test_edits_of_these_files_are_seen(tmp_path: Path) -> None:
    host = _host(tmp_path / "data", "c1,40.5,-74\n")
    seen = host._edited()
    (tmp_path / "data" / "devices.csv").write_text(HEADER, "utf-8")
    edited = host._edited()
    assert edited != seen
    (tmp_path / "data" / "precincts.geojson").write_text("{}", "utf-8")
    assert host._edited() != edited


def test_what_is_wrong_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(GazetteerError, match=r"devices.csv:2: lat 'north' is no number"):
        _host(tmp_path / "one", "c1,north,-74\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "precincts.geojson").write_text(json.dumps({"type": "Feature"}), "utf-8")
    with pytest.raises(GazetteerError, match=r"precincts.geojson:1: feature 1 has no property precinct"):
        Host(tmp_path / "two")


def test_the_doctor_counts_devices_that_have_no_place(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _host(data, "known,40.5,-74\n")
    lines = [event(n, 0, device_id=name) for n, name in enumerate(["known", "lost", "lost", "gone"])]
    (tmp_path / "now.ndjson").write_text("".join(f"{_now(line)}\n" for line in lines), "utf-8")
    assert CliRunner().invoke(cli, ["run", str(tmp_path / "now.ndjson"), "--once", "--data", str(data)]).exit_code == 0
    said = CliRunner().invoke(cli, ["doctor", "--data", str(data)]).output
    assert "1 devices in devices.csv" in said
    assert "2 devices of the last day have no place: lost (2 events), gone (1 events)" in said


def _now(line: str) -> str:
    """The event without its time: it is of now."""
    return json.dumps({name: value for name, value in json.loads(line).items() if name not in ("time", "receivedat")})
