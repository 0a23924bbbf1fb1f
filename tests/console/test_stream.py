"""The stream behind the pages, from the real process over a socket."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from citywatch.alert import Action
from citywatch.cli import web
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id, fact, table

from .conftest import Running


class Stream:
    """Reads server-sent events."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response

    def next(self) -> dict[str, str]:
        """The next event that has a name."""
        event: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            event[name] = f"{event[name]}\n{value}" if name in event else value
        return event if "event" in event else self.next()


@contextmanager
def stream(console: Running, query: str, last: str | None = None) -> Iterator[Stream]:
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
    headers = {"Cookie": console.cookie(), **({"Last-Event-ID": last} if last else {})}
    connection.request("GET", f"/stream?{query}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    try:
        yield Stream(response)
    finally:
        response.close()
        connection.close()


def born(console: Running, *names: int, **told: object) -> None:
    with Desk(console.desk) as desk:
        desk.put_facts(table(fact(name, **told) for name in names), now=now_us())


def place(console: Running) -> int:
    with Desk(console.desk) as desk:
        return desk.last_change()


def test_a_new_alert_is_told_at_once_and_masked(console: Running) -> None:
    with stream(console, f"after={place(console)}") as events:
        born(console, 100, title="Just now")
        told = events.next()
    assert told["event"] == "alerts"
    assert f'id="a-{alert_id(100)}"' in told["data"]
    assert 'data-op="top"' in told["data"]
    assert "Just now" in told["data"]
    assert "K1234" not in told["data"]
    assert '<span id="count-open" class="count">31</span>' in told["data"]
    assert int(told["id"]) == place(console)


def test_who_comes_back_is_told_what_happened_meanwhile(console: Running) -> None:
    with stream(console, f"after={place(console)}") as events:
        born(console, 100)
        last = events.next()["id"]
    born(console, 101)
    with stream(console, "after=0", last=last) as events:
        told = events.next()
    assert alert_id(101) in told["data"]
    assert alert_id(100) not in told["data"]


def test_growth_and_work_take_the_line_s_place(console: Running) -> None:
    with stream(console, f"after={place(console)}") as events:
        born(console, 3, count=9)
        grown = events.next()
        with Desk(console.desk) as desk:
            desk.act(alert_id(3), Wish(Action.ACK, by="bo", channel="cli"))
        worked = events.next()
    assert 'data-op="in place"' in grown["data"]
    assert "9×" in grown["data"]
    assert "acknowledged" in worked["data"]


def test_a_stream_of_some_states_drops_what_leaves_them(console: Running) -> None:
    with stream(console, f"state=open&after={place(console)}") as events:
        with Desk(console.desk) as desk:
            desk.act(alert_id(3), Wish(Action.ACK, by="bo", channel="cli"))
        told = events.next()
    assert f'<li id="a-{alert_id(3)}" data-op="gone">' in told["data"]


def test_a_flood_is_told_by_its_newest_and_says_so(console: Running) -> None:
    with stream(console, f"after={place(console)}") as events:
        born(console, *range(1000, 1500))
        told = events.next()
    assert "Many alerts came at once" in told["data"]
    assert alert_id(1499) in told["data"]
    assert told["data"].count("<li ") <= 60


def test_the_stream_of_one_alert_speaks_of_that_one_only(console: Running) -> None:
    with stream(console, f"alert={alert_id(3)}&after={place(console)}") as events:
        born(console, 100)
        while not events.response.readline().startswith(b"id: "):
            pass
        assert events.response.readline() == b"\n", "of another it tells but the place"
        born(console, 3, count=9)
        told = events.next()
    assert (told["event"], int(told["id"])) == ("alert", place(console))


def test_a_shelved_alert_comes_back_by_itself(console: Running) -> None:
    with stream(console, f"after={place(console)}") as events:
        with Desk(console.desk) as desk:
            desk.act(alert_id(3), Wish(Action.SHELVE, by="bo", channel="cli", until=now_us() + 1_500_000))
        while 'data-op="top"' not in (told := events.next())["data"]:
            pass  # that it was shelved
    assert alert_id(3) in told["data"]


def test_open_streams_end_with_the_process_and_do_not_keep_it(
    console: Running, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STOP_WITHIN", 60.0)  # one that waits for its streams would say on them that it lives
    with stream(console, f"after={place(console)}") as events:
        console.web.stop()
        assert events.response.read() == b"retry: 1000\n\n"
    assert capfd.readouterr().err == ""


def test_rules_in_test_are_streamed_to_those_who_ask(console: Running) -> None:
    start = place(console)
    born(console, 100, status="test", rule="trial")
    with stream(console, f"after={start}") as events:
        told = events.next()
    assert f'<li id="a-{alert_id(100)}" data-op="gone">' in told["data"]
    assert '<span id="count-open" class="count">30</span>' in told["data"]
    with stream(console, f"test=1&after={start}") as events:
        told = events.next()
    assert 'data-op="top"' in told["data"]
    assert '<span id="count-open" class="count">31</span>' in told["data"]
