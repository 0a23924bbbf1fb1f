from __future__ import annotations

import io
from typing import Any

import pytest

from citywatch.errors import SettingError
from citywatch.notify import open_notifier
from citywatch.notify.terminal import Terminal, one_line
from tests.unit.notify.alerts import ZONE, alert


def printed(told: dict[str, Any], *, alarm: bool = True, colour: bool = False) -> str:
    out = io.StringIO()
    Terminal(zone=ZONE, stream=out, colour=colour).notify(told, alarm=alarm)
    return out.getvalue()


def test_a_line_says_when_where_how_bad_what_why_and_which() -> None:
    assert printed(alert(id="ab" * 32)) == (
        "2026-05-01 08:04:00  HIGH           Same plate too far apart: GZH7067 seen 31.2 km apart"
        " · at 1316 Madison Ave  cloned_plate abababab\n"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"address": "1316 Madison Ave", "borough": "Manhattan"}, "at 1316 Madison Ave, Manhattan"),
        ({"street": "Madison Ave", "precinct": 19}, "at Madison Ave"),
        ({"precinct": 19, "borough": "Manhattan"}, "at precinct 19, Manhattan"),
        ({"device_kind": "camera", "device_id": "c7"}, "at camera c7, 40.7484 N 73.9857 W"),
        ({}, "at 40.7484 N 73.9857 W"),
    ],
)
def test_the_place_is_in_words_as_well_as_it_is_known(data: dict[str, Any], words: str) -> None:
    assert f" · {words}  " in printed(alert(data=data))


def test_a_place_that_the_reason_names_is_not_said_twice() -> None:
    line = printed(alert(reason="seen at 1316 Madison Ave"))
    assert line.count("1316 Madison Ave") == 1


def test_the_bell_rings_for_high_and_critical_alarms_on_a_terminal_only() -> None:
    assert "\a" in printed(alert(), colour=True)
    assert "\a" in printed(alert(level="critical"), colour=True)
    assert "\a" not in printed(alert(level="medium"), colour=True)
    assert "\a" not in printed(alert(), alarm=False, colour=True)
    assert "\a" not in printed(alert())


def test_there_is_colour_on_a_terminal_and_none_in_a_file() -> None:
    assert "\x1b[" in printed(alert(), colour=True)
    assert "\x1b" not in printed(alert())


def test_a_message_cannot_command_the_terminal() -> None:
    line = printed(alert(reason="\x1b[2J\a\r\nlines", data={"address": "\x1b]0;owned\x07"}))
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert "\a" not in line


def test_the_older_system_s_alarm_has_its_own_sentence() -> None:
    line = one_line(alert(rule="prestacop_alert"), ZONE)
    assert (
        "Warning, vehicle GZH7067 was caught committing offence 38 on 2026-05-01 08:00:00 at address 1316 Madison Ave"
        in line
    )


def test_that_sentence_does_without_what_is_not_known() -> None:
    line = one_line(alert(rule="prestacop_alert", data={}, lat=None, lon=None), ZONE)
    assert "vehicle unknown was caught committing offence unknown" in line
    assert "at address unknown" in line


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"count": 4}, "(4 times)"),
        ({"late": True}, "late"),
        ({"status": "test"}, "rule in test"),
        ({"inconclusive": True}, "inconclusive"),
    ],
)
def test_what_is_special_is_said(told: dict[str, Any], words: str) -> None:
    assert words in printed(alert(**told))


def test_an_unknown_notifier_is_an_error_that_names_the_known() -> None:
    with pytest.raises(SettingError, match="known: terminal"):
        open_notifier("pigeon")
    assert open_notifier("terminal", zone=ZONE)
