"""What a message says, a terminal shows; it obeys nothing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from citywatch.cli import cli
from citywatch.stores.desk import Desk
from citywatch.wording import printable

NASTY = "a\x1b[31mred\x1b]0;t\x07\nforged\x9b2J\u202e"


def test_signs_that_a_terminal_obeys_are_replaced_at_any_depth() -> None:
    shown = printable({"words": [NASTY, 1, None], "fine": "é • 車"})
    assert shown == {"words": ["a�[31mred�]0;t� forged�2J�", 1, None], "fine": "é • 車"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An alert, a proposal and a rejected record of a device that means harm."""
    data = tmp_path_factory.mktemp("nasty")
    about = {"plate": "K1", "address": NASTY, "device_id": NASTY, "label": NASTY}
    events = [
        {"id": NASTY, "type": "drone.violation", "data": {**about, "needs_human": True}},
        {"id": "2", "type": "drone.violation", "data": {**about, "violation_code": 46}},
        {"id": "3", "type": "drone.violation", "data": {"violation_code": NASTY}},
    ]
    common = {"specversion": "1.0", "source": NASTY, "time": "2026-05-01T12:00:00Z"}
    lines = "".join(json.dumps({**common, **event}) + "\n" for event in events)
    (data / "seen.ndjson").write_text(lines)
    told = run("run", str(data / "seen.ndjson"), "--once", data=data)
    assert json.loads(told.splitlines()[-1])["alerts"] >= 1
    with Desk(data / "desk.sqlite") as desk:
        desk.audit("bo", "reveal", alert="ab" * 32, purpose=NASTY)
    return data


def run(*words: str, data: Path) -> str:
    result = CliRunner().invoke(cli, [*words, "--data", str(data)], color=True)
    assert result.exit_code in (0, 1), result.output
    return result.output


@pytest.mark.parametrize(
    "words", ["alerts list", "alerts show", "tickets list", "rejected list", "doctor", "sql", "audit"]
)
def test_no_command_for_people_lets_a_message_write_on_the_terminal(data: Path, words: str) -> None:
    command: list[Any] = words.split()
    if words == "alerts show":
        listed = run("alerts", "list", "--format", "ndjson", "--rule", "needs_human", data=data)
        command.append(json.loads(listed.splitlines()[0])["id"])
        run("alerts", "note", command[-1], NASTY, data=data)
    if words == "sql":
        command.append("SELECT source, id FROM events")
    said = run(*command, data=data)
    assert said
    for harm in ("\x1b[31mred", "\x1b]0", "\x9b", "\u202e", "\nforged"):
        assert harm not in said
