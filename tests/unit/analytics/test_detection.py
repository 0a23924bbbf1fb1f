"""The report `detection`: alerts beside what was planted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from citywatch.errors import CitywatchError
from tests.unit.analytics.conftest import ask, invoke, left_out, run

RULES = """
title: A plate of interest
id: 6f1d7e8a-2a43-4b3c-9d57-0d7f5a1b2c3d
name: sought
status: STATUS
level: low
logsource: {category: anpr.read}
where: plate LIKE 'K%'
suppression: {group-by: [plate], duration: 1m}
tests:
  - {name: one, events: [{at: 0s, plate: K1}], expect: [{at: 0s, group: {plate: K1}}]}
  - {name: another, events: [{at: 0s, plate: L1}], expect: []}
"""
READS = {"K1": 0, "K2": 30, "K3": 200, "L1": 240, "Z9": 600}
"""Plate -> seconds after 12:00; the last one moves the clock."""


def moment(seconds: float) -> str:
    return f"2026-05-01T{12 + int(seconds // 3600):02d}:{int(seconds // 60 % 60):02d}:{seconds % 60:09.6f}Z"


def planted(plate: str, begin: float, end: float, **more: Any) -> str:
    event = {"source": "camera/1", "id": plate}
    line = {"kind": "sought", "rule": "sought", "group": {"plate": plate}, "from": moment(begin), "until": moment(end)}
    return json.dumps({**line, "events": [event], **more})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alerts for K1, K2 and K3."""
    directory = tmp_path_factory.mktemp("detection")
    attributes = {"specversion": "1.0", "source": "camera/1", "type": "anpr.read"}
    events = [
        {**attributes, "id": plate, "time": moment(s), "receivedat": moment(s), "data": {"plate": plate}}
        for plate, s in READS.items()
    ]
    (directory / "reads.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    run(directory / "data", directory / "reads.ndjson", rules=RULES.replace("STATUS", "stable"))
    return directory / "data"


@pytest.fixture
def truth(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "truth.ndjson"


def test_each_rule_has_its_incidents_what_was_caught_and_what_was_false(data: Path, truth: Path) -> None:
    truth.write_text(planted("K1", 0, 60) + "\n" + planted("K2", 10, 40) + "\n" + planted("L1", 240, 300) + "\n")
    answer = ask(data, "detection", "--truth", str(truth))
    assert answer["rows"] == [
        {
            "rule": "sought", "planted": 3, "caught": 2, "false_alerts": 1,
            "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "median_delay_s": 10.0,
        }
    ]  # fmt: skip
    assert left_out(answer) == {}


@pytest.mark.parametrize(
    "line",
    [
        planted("K1", 1, 60),
        planted("K1", 0, 20, group={"plate": "K2"}),
        planted("K1", 0, 60, rule="another"),
        planted("K1", 0, 60, group={"device_id": "c1"}),
    ],
    ids=["at another time", "with another key", "of another rule", "with nothing in common"],
)
def test_an_alert_is_not_that_of_an_incident(data: Path, truth: Path, line: str) -> None:
    truth.write_text(line + "\n")
    rows = {row["rule"]: row for row in ask(data, "detection", "--truth", str(truth))["rows"]}
    assert sum(row["caught"] for row in rows.values()) == 0
    assert rows["sought"]["false_alerts"] == 3
    assert sum(row["planted"] for row in rows.values()) == 1


def test_a_key_that_names_more_or_less_than_what_was_planted_is_the_same_if_they_agree(data: Path, truth: Path) -> None:
    truth.write_text(planted("K1", 0, 60, group={"plate": "K1", "device_id": "c1"}) + "\n")
    [row] = ask(data, "detection", "--truth", str(truth))["rows"]
    assert (row["planted"], row["caught"], row["recall"]) == (1, 1, 1.0)


def test_what_may_still_be_found_and_what_history_does_not_know_is_left_out(data: Path, truth: Path) -> None:
    truth.write_text(planted("L1", 240, 590) + "\n" + planted("M1", 0, 60) + "\n")
    answer = ask(data, "detection", "--truth", str(truth))
    assert [(row["planted"], row["recall"]) for row in answer["rows"]] == [(0, None)]
    assert left_out(answer) == {"not_over": 1, "not_in_history": 1}


def test_only_the_period_that_is_asked_for_counts(data: Path, truth: Path) -> None:
    truth.write_text(planted("K1", 0, 60) + "\n" + planted("K3", 200, 260) + "\n")
    [row] = ask(data, "detection", "--truth", str(truth), "--from", moment(100))["rows"]
    assert (row["planted"], row["caught"], row["false_alerts"], row["precision"]) == (1, 1, 0, 1.0)


def test_alerts_of_a_rule_in_test_are_not_judged(tmp_path: Path, data: Path, truth: Path) -> None:
    truth.write_text("")
    run(tmp_path / "data", data.parent / "reads.ndjson", rules=RULES.replace("STATUS", "test"))
    answer = ask(tmp_path / "data", "detection", "--truth", str(truth))
    assert (answer["rows"], left_out(answer)) == ([], {"rule_in_test": 3})


def test_without_a_truth_nothing_is_judged(data: Path) -> None:
    answer = ask(data, "detection")
    assert (answer["rows"], left_out(answer)) == ([], {"no_truth": 3})


def test_the_truth_that_lies_in_the_data_directory_is_taken(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "truth.ndjson").write_text(planted("K1", 0, 60) + "\n")
    [row] = ask(tmp_path / "data", "detection")["rows"]
    assert (row["caught"], row["false_alerts"]) == (1, 2)


@pytest.mark.parametrize("line", ["{", "[]", '{"rule": "r"}', planted("K1", 0, 60, events=[])], ids=range(4))
def test_a_line_that_is_no_incident_is_named_with_its_place(data: Path, truth: Path, line: str) -> None:
    truth.write_text(planted("K1", 0, 60) + f"\n{line}\n")
    result = invoke_plain("report", "detection", "--data", str(data), "--truth", str(truth))
    assert f"{truth}:2: is no line of a truth file" in result


def test_a_truth_that_is_not_there_is_said(data: Path, truth: Path) -> None:
    assert f"cannot read {truth}: " in invoke_plain("report", "detection", "--data", str(data), "--truth", str(truth))


def test_other_reports_take_no_truth(data: Path, truth: Path) -> None:
    said = invoke_plain("report", "fleet", "--data", str(data), "--truth", str(truth))
    assert said == "report fleet takes no --truth (it is for the report detection)"


def invoke_plain(*arguments: str) -> str:
    """What a command that fails says."""
    with pytest.raises(CitywatchError) as error:
        invoke(*arguments)
    return str(error.value)
