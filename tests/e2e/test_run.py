"""The command line as other programs call it: `run`, `events`, `rejected`, `doctor`."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from citywatch.cli import main
from citywatch.stores import directory
from citywatch.stores.directory import DataDirectory

COMMAND = [sys.executable, "-c", "from citywatch.cli import main; main()"]

RULE = """
title: A plate is read
id: 00000000-0000-4000-8000-000000000001
name: plate_read
status: experimental
level: low
logsource: {category: anpr.read}
where: plate IS NOT NULL
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Call citywatch in this process: (exit code, stdout, stderr)."""

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode("utf-8", "surrogateescape"), err.decode()

    return called


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "plate_read.yaml").write_text(RULE, "utf-8")
    return tmp_path / "rules"


def event(n: int, **more: Any) -> str:
    head = {"specversion": "1.0", "id": str(n), "source": "camera", "type": "anpr.read"}
    times = {"time": f"2026-01-05T12:00:{n:02d}Z", "receivedat": f"2026-01-05T12:00:{n:02d}.5Z"}
    return json.dumps({**head, **times, "data": {"plate": f"K {n}"}, **more})


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_the_last_line_of_a_run_counts_every_record(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1), event(2), event(1), "{")
    code, out, _ = call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {
        "read": 4, "events": 2, "duplicates": 1, "rejected": 1, "late": 0, "alerts": 2
    }  # fmt: skip


def test_the_same_file_again_adds_only_duplicates(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1), event(2))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    _, out, _ = call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    assert json.loads(out)["duplicates"] == 2
    assert json.loads(out)["alerts"] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1,07/10/2016\n", "b.csv: no mapping fits rows of 2 columns without a header"),
        ("foo,bar\n1,2\n", "b.csv: no mapping fits a record with bar, foo"),
        ("foo,bar\n", "b.csv: no mapping fits a record with bar, foo"),
        ("id,a\r1,2\r", "b.csv:1: cannot be read as CSV: the lines end in CR alone"),
        ("\n\x00\x01\x02\n", "b.csv:2: cannot be read as CSV: the first line is no header but binary data"),
    ],
)
def test_a_file_that_nobody_understands_among_others_stops_the_run_before_anything_is_kept(
    call: Call, rules: Path, tmp_path: Path, content: str, said: str
) -> None:
    for n, name in enumerate("abc"):
        (tmp_path / f"{name}.csv").write_text(f"Summons Number,Issue Date\n{n},07/10/2016\n", "utf-8")
    (tmp_path / "b.csv").write_text(content, "utf-8")
    run = ("run", tmp_path / "*.csv", "--once", "--rules", rules, "--data", tmp_path / "data")
    code, out, err = call(*run)
    assert (code, out) == (1, "")
    assert said in err
    assert call("events", "--data", tmp_path / "data")[1] == ""
    (tmp_path / "b.csv").write_text("Summons Number,Issue Date\n1,07/10/2016\n", "utf-8")
    assert json.loads(call(*run)[1])["events"] == 3


def test_a_rules_directory_can_be_empty(call: Call, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    file = written(tmp_path / "day.ndjson", event(1))
    code, out, _ = call("run", file, "--once", "--rules", tmp_path / "none", "--data", tmp_path / "data")
    assert (code, json.loads(out)["alerts"]) == (0, 0)


def test_events_read_back_are_the_same_events(call: Call, rules: Path, tmp_path: Path) -> None:
    more = {"subject": "K1", "traceparent": "00-ab", "data": {"plate": "K 1", "other": {"ü": [1, None]}}}
    file = written(tmp_path / "day.ndjson", event(1), event(2, **more), event(3, timeprecision="minute"))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "a")
    _, printed, _ = call("events", "--data", tmp_path / "a", "--format", "ndjson")
    again = written(tmp_path / "again.ndjson", printed.rstrip("\n"))
    call("run", again, "--once", "--rules", rules, "--data", tmp_path / "b")
    assert call("events", "--data", tmp_path / "b", "--format", "ndjson")[1] == printed
    found = [json.loads(line) for line in printed.splitlines()]
    assert [line["id"] for line in found] == ["1", "2", "3"]
    assert found[1]["data"]["other"] == {"ü": [1, None]}
    assert (found[1]["data"]["plate"], found[1]["data"]["local_hour"]) == ("K1", 7)
    assert (found[1]["subject"], found[1]["traceparent"]) == ("K1", "00-ab")
    assert (found[0]["receivedat"], found[0]["late"]) == ("2026-01-05T12:00:01.500000Z", False)


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_events_in_every_form_are_read_back_as_they_were(call: Call, rules: Path, tmp_path: Path, form: str) -> None:
    odd = {"subject": "S", "traceparent": "00-ab", "data": {"plate": "K 1", "note": 'a\n"b",ü', "behaviors": ["Hug"]}}
    timeless = {"specversion": "1.0", "id": "3", "source": "camera", "type": "note"}
    more = [event(4, data=[1, {"a": None}]), event(5, data="text"), event(6, data=None, data_base64="aGVsbG8=")]
    file = written(
        tmp_path / "day.ndjson", event(1, **odd), event(2, timeprecision="minute"), json.dumps(timeless), *more
    )
    first, second = ("--data", tmp_path / "a"), ("--data", tmp_path / "b")
    run = ("--once", "--rules", rules)
    call("run", file, *run, *first)
    printed = call("events", *first)[1]
    again = tmp_path / f"again.{form}"
    again.write_bytes(call("events", *first, "--format", form)[1].encode("utf-8", "surrogateescape"))

    assert json.loads(call("run", again, *run, *second)[1])["events"] == 6
    assert call("events", *second)[1] == printed
    payloads = {event["id"]: event.get("data") for event in map(json.loads, printed.splitlines())}
    assert (payloads["4"], payloads["5"], payloads["6"]) == ([1, {"a": None}], "text", None)
    for source, data in ((again, first), (file, second)):
        assert json.loads(call("run", source, *run, *data)[1])["duplicates"] == 6
        assert "conflict" not in call("doctor", *data)[1], "the same, not others of the same name"


def test_a_damaged_export_refuses_what_is_damaged(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", *map(event, range(1, 6)))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "a")
    lines = call("events", "--data", tmp_path / "a", "--format", "csv")[1].splitlines()
    lines[2], lines[3] = lines[2] + ",more", lines[3].replace("2026-01-05T12:00", "yesterday")
    again = tmp_path / "again.csv"
    again.write_bytes("\n".join(lines).encode() + b"\ncaf\xe9\n")
    code, out, _ = call("run", again, "--once", "--rules", rules, "--data", tmp_path / "b")
    assert (code, json.loads(out)["events"], json.loads(out)["rejected"]) == (0, 3, 3)
    listed = call("rejected", "list", "--data", tmp_path / "b", "--format", "ndjson")[1].splitlines()
    reasons = {row["line"]: row["reason"] for row in map(json.loads, listed)}
    assert reasons[3] == "66 columns where the header has 65"
    assert reasons[4].startswith("time: ")
    assert reasons[7] == "not UTF-8"


def test_events_as_csv_and_parquet_have_all_columns(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1), event(2))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    rows = list(csv.DictReader(io.StringIO(call("events", "--data", tmp_path / "data", "--format", "csv")[1])))
    assert [(row["id"], row["plate"], row["local_hour"], row["late"]) for row in rows] == [
        ("1", "K1", "7", "false"),
        ("2", "K2", "7", "false"),
    ]
    out = call("events", "--data", tmp_path / "data", "--format", "parquet")[1]
    table = pq.read_table(io.BytesIO(out.encode("utf-8", "surrogateescape")))
    assert table.column_names == list(rows[0])
    assert table.column("plate").to_pylist() == ["K1", "K2"]


def test_events_of_a_type_and_a_span_of_time(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", *map(event, range(1, 6)), event(6, type="note"))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")

    def ids(*options: str) -> list[str]:
        _, out, _ = call("events", "--data", tmp_path / "data", *options)
        return [json.loads(line)["id"] for line in out.splitlines()]

    assert ids("--from", "2026-01-05T12:00:02Z", "--to", "2026-01-05T12:00:04Z") == ["2", "3"]
    assert ids("--type", "note") == ["6"]
    assert ids("--from", "2026-01-05 07:00:05") == ["5", "6"], "a time without an offset is the city's"


def test_a_period_that_ends_before_it_begins_is_wrong_usage_everywhere(call: Call, rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    call("run", written(tmp_path / "day.ndjson", event(1)), "--once", "--rules", rules, "--data", data)
    for words in (["events"], ["rules", "backtest", rules], ["report", "top-places"]):
        code, _, said = call(*words, "--data", data, "--from", "2026-02-01", "--to", "2026-01-01")
        assert (code, "--from 2026-02-01 is not before --to 2026-01-01" in said) == (2, True), words


def test_a_time_zone_that_there_is_not_is_said_in_a_line(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    code, _, said = call("run", file, "--once", "--data", tmp_path / "data", "--zone", "Mars/Base")
    assert (code, "there is no time zone 'Mars/Base'" in said) == (2, True)


def test_rejected_records_are_listed_and_replayed(call: Call, rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = written(tmp_path / "day.ndjson", event(1), event(2, lat=1, data={"lat": 160}), "no json")
    call("run", file, "--once", "--rules", rules, "--data", data)
    _, out, _ = call("rejected", "list", "--data", data, "--format", "ndjson")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(record["source"], record["line"]) for record in found] == [(str(file), 2), (str(file), 3)]
    assert "lat" in found[0]["reason"]
    assert found[1]["raw"] == "no json"
    _, out, _ = call("rejected", "replay", "--data", data)
    assert json.loads(out.splitlines()[-1])["rejected"] == 2
    assert len(call("rejected", "list", "--data", data, "--format", "ndjson")[1].splitlines()) == 2


@pytest.mark.parametrize("at_once", [2, 20_000])
def test_rejected_records_with_the_right_mapping_become_events(
    call: Call, rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("citywatch.cli.rejected._PORTION", at_once)
    data = tmp_path / "data"
    drone = {"drone_id": 4, "address": "907 W 91th St", "time": "10/21/2020 0309A", "violation_code": "95"}
    drones = [json.dumps({**drone, "plate_id": f"VWW{n}"}) for n in range(5)]
    file = written(tmp_path / "drones.ndjson", *drones, json.dumps({**drone, "time": "never"}))
    wrong = call("run", file, "--once", "--rules", rules, "--data", data, "--mapping", "safety-watcher")
    if wrong[0] == 2:
        pytest.fail(wrong[2])
    assert json.loads(wrong[1])["rejected"] == 6
    _, out, _ = call("rejected", "replay", "--data", data)
    told = json.loads(out.splitlines()[-1])
    assert (told["replayed"], told["read"], told["rejected"], told["events"]) == (6, 5, 1, 5)
    assert "never" in call("rejected", "list", "--data", data)[1]
    _, events, _ = call("events", "--data", data)
    assert sorted(json.loads(line)["data"]["plate"] for line in events.splitlines()) == [f"VWW{n}" for n in range(5)]


def test_rows_of_older_windows_are_rejected_and_replayed_with_their_encoding(
    call: Call, rules: Path, tmp_path: Path
) -> None:
    """The same whether the rows are replayed, or the file is converted and read again."""
    text = "Summons Number,Issue Date,Street Name\n1,07/10/2016,Café Street\n2,07/10/2016,Oak Avenue\n"
    file, data = tmp_path / "t.csv", tmp_path / "data"
    file.write_bytes(text.encode("cp1252"))
    code, out, _ = call("run", file, "--once", "--rules", rules, "--data", data)
    assert (code, json.loads(out)["rejected"]) == (0, 1)
    (row,) = (
        json.loads(line) for line in call("rejected", "list", "--data", data, "--format", "ndjson")[1].splitlines()
    )
    assert (row["line"], row["reason"]) == (2, "not UTF-8: byte 0xE9 at 17")
    code, _, err = call("rejected", "replay", "--data", data, "--encoding", "klingon")
    assert (code, "there is no encoding 'klingon'" in err) == (2, True)
    code, out, _ = call("rejected", "replay", "--data", data, "--encoding", "cp1252")
    assert (code, json.loads(out)["read"], json.loads(out)["events"]) == (0, 1, 1)
    assert "Café Street" in call("events", "--data", data)[1]
    file.write_text(text, "utf-8")
    assert json.loads(call("run", file, "--once", "--rules", rules, "--data", data)[1])["duplicates"] == 2


def test_an_unknown_rejected_record_is_an_error(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    code, _, err = call("rejected", "replay", "abcdef", "--data", tmp_path / "data")
    assert (code, "no rejected record" in err) == (1, True)


@pytest.mark.parametrize("command", [["events"], ["rejected", "list"], ["rejected", "replay"]])
def test_readers_say_that_there_is_no_data(call: Call, tmp_path: Path, command: list[str]) -> None:
    code, out, err = call(*command, "--data", tmp_path / "nothing")
    assert (code, out) == (1, "")
    assert "is no data directory" in err


def test_a_second_engine_is_refused_and_readers_go_on(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    data = tmp_path / "data"
    call("run", file, "--once", "--rules", rules, "--data", data)
    with DataDirectory(data).locked():
        code, _, err = call("run", file, "--once", "--rules", rules, "--data", data)
        assert code == 1
        assert f"process {os.getpid()} already writes" in err
        assert len(call("events", "--data", data)[1].splitlines()) == 1
        assert "writes here" in call("doctor", "--data", data)[1]


def test_another_lateness_than_the_directory_was_made_with_is_refused(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    run = ["run", file, "--once", "--rules", rules, "--data", tmp_path / "data"]
    assert call(*run, "--lateness", "10s")[0] == 0
    code, _, err = call(*run, "--lateness", "60s")
    assert (code, "made with lateness = 10s" in err) == (1, True)
    assert call(*run)[0] == 0, "what is not said is as it was"


def test_a_data_directory_of_another_version_is_refused(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    written(tmp_path / "data" / "FORMAT", '{"version": 77, "settings": {}}')
    code, _, err = call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    assert (code, "has format 77" in err) == (1, True)


def test_a_disk_that_is_nearly_full_is_refused(
    call: Call, rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory.DataDirectory, "free", lambda _: (0, 1 << 24))
    file = written(tmp_path / "day.ndjson", event(1))
    code, out, err = call("run", file, "--once", "--rules", rules, "--data", tmp_path / "data")
    assert (code, out) == (1, "")
    assert "nothing was accepted" in err


def test_wrong_usage_is_said_with_exit_code_2(call: Call, rules: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "day.ndjson", event(1))
    assert call("run", "sim://city", "--once", "--data", tmp_path / "data")[0] == 2
    assert call("run", file, "--once", "--mapping", "nonsense", "--data", tmp_path / "data")[0] == 2
    assert call("run", "--once")[0] == 2
    assert call("run", tmp_path / "absent.ndjson", "--once", "--data", tmp_path / "data")[0] == 1


def test_doctor_explains_and_ends_well(call: Call, rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert call("doctor", "--data", data)[0] == 0
    call("run", written(tmp_path / "a", event(9), event(8), "x"), "--once", "--rules", rules, "--data", data)
    call("run", written(tmp_path / "b", event(1), event(9, data={})), "--once", "--rules", rules, "--data", data)
    code, out, _ = call("doctor", "--data", data)
    assert code == 0
    words = ["3 events", "1 conflicts", "1 events are backfill", "1 different rejected", "the clock stands at"]
    assert all(word in out for word in [*words, "0 images", "0 proposals for tickets wait"])
    assert "places" not in out, "nothing is known of devices: no heading without findings"


def test_doctor_counts_the_keys_that_are_left_out(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULE.replace("name: plate_read", "name: many").replace("\nwhere: plate IS NOT NULL", "")
    correlation = "correlation: {type: event_count, group-by: [plate], timespan: 1m, condition: {gte: 2}}\n"
    (tmp_path / "rules").mkdir()
    written(tmp_path / "rules" / "many.yaml", rule + correlation)
    monkeypatch.setenv("CITYWATCH_KEY_LIMIT", "5")
    reads = [event(n, data={"plate": "0000"}) for n in range(8)]
    call("run", written(tmp_path / "a", *reads), "--once", "--rules", tmp_path / "rules", "--data", tmp_path / "data")
    assert "1 open alerts say that a key has too many events" in call("doctor", "--data", tmp_path / "data")[1]


def test_doctor_fails_when_something_has_to_be_mended(call: Call, tmp_path: Path) -> None:
    written(tmp_path / "FORMAT", '{"version": 77, "settings": {}}')
    code, out, _ = call("doctor", "--data", tmp_path)
    assert (code, "has format 77" in out) == (1, True)


def test_standard_input_is_followed_while_it_is_open(rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*COMMAND, "run", "-", "--rules", str(rules), "--data", str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdin is not None
        engine.stdin.write(event(1) + "\n")
        engine.stdin.flush()
        assert _alerts(data, 1)
        engine.stdin.write(event(2) + "\n")
        out, _ = engine.communicate(timeout=60)
    assert engine.returncode == 0
    assert json.loads(out.splitlines()[-1])["events"] == 2
    assert _alerts(data, 2)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_engine_finishes_what_it_has_accepted(rules: Path, tmp_path: Path, how: signal.Signals) -> None:
    data = tmp_path / "data"
    command = [*COMMAND, "run", "sim://city?rate=200", "--rules", str(rules), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as engine:
        assert _alerts(data, 1)
        engine.send_signal(how)
        out, err = engine.communicate(timeout=60)
    assert engine.returncode == 0, err
    assert {line.split(": ")[0] for line in err.splitlines()} == {"citywatch"}
    summary = json.loads(out.splitlines()[-1])
    assert summary["events"] > 0
    listed = subprocess.run(
        [*COMMAND, "events", "--data", str(data)], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(listed.stdout.splitlines()) == summary["events"]


def test_whoever_is_in_a_hurry_ends_an_engine_at_once_and_quietly(rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*COMMAND, "run", "sim://city?rate=200", "--rules", str(rules), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as engine:
        assert _alerts(data, 1)
        while engine.poll() is None:
            engine.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, err = engine.communicate(timeout=60)
    assert engine.returncode == -signal.SIGINT
    assert {line.split(": ")[0] for line in err.splitlines()} == {"citywatch"}


def test_a_bounded_run_that_is_interrupted_says_how_to_go_on(rules: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*COMMAND, "run", "-", "--once", "--rules", str(rules), "--data", str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as engine:
        assert _alerts(data, 0)
        engine.send_signal(signal.SIGINT)
        out, err = engine.communicate(timeout=60)
    assert (engine.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("citywatch: interrupted; the same command reads the rest")
    assert {line.split(": ")[0] for line in err.splitlines()} == {"citywatch"}


def _alerts(data: Path, count: int) -> bool:
    """Whether there are so many alerts within a while."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (data / "desk.sqlite").exists():
            command = [*COMMAND, "alerts", "list", "--data", str(data), "--format", "ndjson"]
            found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if len(found.stdout.splitlines()) >= count:
                return True
        time.sleep(0.2)
    return False
