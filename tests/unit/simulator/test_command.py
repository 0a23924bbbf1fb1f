"""`citywatch simulate`."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

CITYWATCH = [sys.executable, "-c", "from citywatch.cli import main; main()"]


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CITYWATCH, "simulate", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_it_prints_cloud_events_one_a_line(tmp_path: Path) -> None:
    done = simulate("city", "--duration", "20s", "--rate", "100", "--truth", str(tmp_path / "truth"))
    first = json.loads(done.stdout.splitlines()[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert first.keys() == {"specversion", "id", "source", "type", "subject", "time", "data", "receivedat"}
    assert len(done.stdout.splitlines()) == pytest.approx(2000, rel=0.05)
    assert len((tmp_path / "truth").read_text().splitlines()) >= 2


def test_the_same_seed_prints_the_same() -> None:
    assert simulate("drones", "--duration", "1m").stdout == simulate("drones", "--duration", "1m", "--seed", "1").stdout


def test_wrong_use_is_said_in_one_line() -> None:
    done = simulate("city", "--rate", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "citywatch: rate: 'many' is not a number from 1 to 200000\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen([*CITYWATCH, "simulate", "city", "--duration", "1h"], stdout=-1, stderr=-1) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b'{"specversion"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_it_speaks_as_the_older_systems() -> None:
    drone, *_ = [
        json.loads(line) for line in simulate("drones", "--duration", "20s", "--as", "prestacop").stdout.splitlines()
    ]
    report, *_ = [
        json.loads(line) for line in simulate("cctv", "--duration", "20s", "--as", "safety-watcher").stdout.splitlines()
    ]
    assert drone.keys() == {"drone_id", "plate_id", "address", "time", "violation_code"}
    assert report["dangerosity_score"] >= 0
    assert len(report["behaviors"]) == 3


def test_an_unknown_shape_is_said_with_those_that_are_known() -> None:
    done = simulate("city", "--duration", "1s", "--as", "nypd-calls")
    assert done.returncode == 2
    assert "cannot be written as 'nypd-calls' (known: " in done.stderr
    assert {"prestacop", "safety-watcher"} <= set(done.stderr.replace(",", " ").replace(")", " ").split())


def test_it_ends_after_so_many_messages() -> None:
    arguments = (
        "cctv",
        "--as",
        "safety-watcher",
        "--count",
        "100",
        "--duration",
        "5m",
        "--rate",
        "20",
        "--images",
        "0",
    )
    lines = simulate(*arguments).stdout.splitlines()
    assert len(lines) == 100
    assert simulate(*arguments).stdout.splitlines() == lines


def test_tickets_are_a_file_of_the_city_with_its_header() -> None:
    rows = list(csv.DictReader(simulate("city", "--duration", "1m", "--as", "nyc-tickets").stdout.splitlines()))
    assert {len(row) for row in rows} == {43}
    assert all(row["Summons Number"] and row["Plate ID"] and row["Issue Date"] == "05/01/2026" for row in rows)
    assert rows[0]["Violation Time"] == "0800A"


def test_it_speaks_as_a_mapping_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "beep.yaml"
    file.write_text(
        "name: beep\ntitle: x\nrecognise: [beep]\nfields: {beep: }\nto: {type: \"'t'\", source: \"'s'\", id: beep}\n"
        "from: {when: type = 'anpr.read', record: {beep: plate}}\n"
    )
    done = simulate("cctv", "--duration", "10s", "--as", str(file))
    assert {frozenset(json.loads(line)) for line in done.stdout.splitlines()} == {frozenset({"beep"})}
    file.write_text(file.read_text().replace("beep: plate", "beep: plait"))
    done = simulate("cctv", "--duration", "10s", "--as", str(file))
    assert (done.returncode, f"{file}:6: " in done.stderr, "plait" in done.stderr) == (1, True, True)


def test_rows_that_need_a_header_do_not_go_into_a_topic() -> None:
    done = simulate("city", "--as", "nyc-tickets", "--to", "kafka://127.0.0.1:1/tickets")
    assert done.returncode == 2
    assert "rows of nyc-tickets need their header" in done.stderr
