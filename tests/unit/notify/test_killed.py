"""A kill at any moment of delivering loses no alert, and tells none under two keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.desk.facts import alert_id
from tests.unit.notify.place import Here
from tests.unit.notify.receivers import LOCAL, Request, Web, web

ROOT = Path(__file__).resolve().parents[3]

ALERTS = range(12)

ROUTES = """
notifiers: {{duty: {{type: webhook, url: "{url}", allow: {local}, at_most: {rate}}}}}
routes: [{{name: all, to: duty}}]
"""


def start(here: Here, at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.notify.victim", str(here.data), str(here.data / "trace"), str(at)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, text=True)


def ready(tmp_path: Path, server: Web, rate: str) -> Here:
    here = Here(tmp_path)
    here.routes(ROUTES.format(url=server.url, local=LOCAL, rate=rate))
    here.raised(*ALERTS)
    return here


def carried(requests: list[Request]) -> dict[str, set[str]]:
    """Alert -> the keys of the messages that told of it."""
    keys: dict[str, set[str]] = {}
    for request in requests:
        data = request.json["data"]
        for alert in data.get("alerts", [data]):
            keys.setdefault(alert["id"], set()).add(request.key)
    return keys


@pytest.mark.parametrize("rate", ["100/1m", "4/1m"], ids=["one by one", "in a digest"])
def test_a_kill_after_every_commit_loses_nothing_and_doubles_nothing(tmp_path: Path, rate: str) -> None:
    with web() as server:
        here = ready(tmp_path, server, rate)
        for at in (1, 2, 3, 1, 2, 5):
            process = start(here, at)
            assert process.wait(120) in (-signal.SIGKILL, 0)
        assert start(here).wait(120) == 0
    found = carried(server.requests)
    assert found.keys() == {alert_id(name) for name in ALERTS}
    assert all(len(keys) == 1 for keys in found.values())
    assert here.standing().told == len(ALERTS)


def test_a_kill_while_the_receiver_reads_repeats_that_message_under_its_key(tmp_path: Path) -> None:
    process: list[subprocess.Popen[str]] = []
    fatal = {3, 7}

    def answer(_: Request) -> int | str:
        if len(server.requests) in fatal:
            os.kill(process[-1].pid, signal.SIGKILL)
            return "cut"
        return 204

    with web(answer) as server:
        here = ready(tmp_path, server, "100/1m")
        for expected in (-signal.SIGKILL, -signal.SIGKILL, 0):
            process.append(start(here))
            assert process[-1].wait(120) == expected
    assert Counter(server.keys).most_common(3)[2][1] == 1
    assert set(server.keys) == {alert_id(name) for name in ALERTS}
    assert len(server.keys) == len(ALERTS) + len(fatal)
