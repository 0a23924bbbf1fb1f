"""Alerts leave `citywatch up`: by a route to a real receiver, also when it is killed and begins again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.stores.desk import Desk
from tests.console.test_up import Starter, Up, reading
from tests.unit.notify.receivers import LOCAL, Web, until, web

ROUTES = """
notifiers:
  duty: {{type: webhook, url: "{url}", allow: {local}}}
  alive: {{type: heartbeat, url: "{url}", every: 100ms, allow: {local}}}
routes:
  - {{name: all, to: duty}}
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for up in starter.started:
        up.end()


def told(server: Web) -> list[str]:
    """The ids of the alerts that arrived."""
    return [request.key for request in server.requests if request.method == "POST"]


def send(up: Up, *numbers: int) -> None:
    assert up.process.stdin is not None
    up.process.stdin.write("".join(map(reading, numbers)))
    up.process.stdin.flush()


def noted(data: Path) -> int:
    """How many alerts the desk says the webhook took: what arrived and is not noted yet is told again after a kill."""
    with Desk(data / "desk.sqlite", create=False) as desk:
        return sum(standing.told for standing in desk.standings() if standing.target == "duty")


def test_up_tells_of_each_alert_once_over_a_kill_and_beats_while_it_lives(start: Starter) -> None:
    with web() as server:
        start.data.mkdir()
        (start.data / "routes.yaml").write_text(ROUTES.format(url=server.url, local=LOCAL))
        first = start("-")
        first.address()
        send(first, 1, 2)
        until(lambda: noted(start.data) == 2)
        until(lambda: any(request.method == "GET" for request in server.requests), "a heartbeat")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        second = start("-")
        second.address()
        send(second, 1, 2, 3)
        until(lambda: noted(start.data) == 3)
        second.stop()
    assert len(set(told(server))) == len(told(server)) == 3


def test_up_does_not_begin_with_routes_that_do_not_load(start: Starter) -> None:
    start.data.mkdir()
    (start.data / "routes.yaml").write_text("routes:\n  - {name: r, to: nobody}\n")
    up = start("-")
    assert up.process.wait(60) == 1
    for reader in up.readers:
        reader.join()
    assert "routes.yaml:2: there is no notifier 'nobody' in this file" in "".join(up.said)
