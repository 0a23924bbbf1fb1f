"""The alarm beside `up` does not end in silence."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from citywatch.cli import up
from citywatch.cli.up import Alarm
from citywatch.errors import StoreError
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory


class _Tail:
    """Stands for what prints alerts: fails as often as it has `faults`, then prints one alert."""

    faults: list[Exception]

    def __init__(self, *_: Any, **__: Any) -> None:
        self.printed = 0

    def follow(self, *_: object) -> None:
        if self.faults:
            raise self.faults.pop()
        self.printed = 1

    def catch_up(self) -> None:
        time.sleep(0.01)


@pytest.fixture
def alarm(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Alarm:
    monkeypatch.setattr(up, "Tail", _Tail)
    monkeypatch.setattr(up, "AGAIN", 0.01)
    data = DataDirectory(tmp_path)
    Desk(data.desk).close()
    hosted: Any = SimpleNamespace(directory=data, settings=Settings())
    return Alarm(hosted)


def _until_rang(alarm: Alarm) -> None:
    deadline = time.monotonic() + 30
    while not alarm.rang():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_rings_again_when_the_desk_can_be_read_again(alarm: Alarm, capsys: pytest.CaptureFixture[str]) -> None:
    _Tail.faults = [StoreError("the file is held"), StoreError("the file is held")]
    with alarm:
        _until_rang(alarm)
    assert capsys.readouterr().err.count("the alarm waits: the file is held") == 1


def test_it_says_that_nobody_reads_its_terminal(alarm: Alarm, capsys: pytest.CaptureFixture[str]) -> None:
    _Tail.faults = [BrokenPipeError(32, "Broken pipe")]
    alarm.start()
    alarm._thread.join(30)
    assert not alarm.rang()
    assert "no alarm in this terminal any more: Broken pipe" in capsys.readouterr().err
