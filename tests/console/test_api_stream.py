"""The stream of alerts for programs, from the real process over a socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async

from citywatch.alert import Action
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id, fact, table

from .conftest import Running, key, serving

if TYPE_CHECKING:
    from django.test import Client

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))


def users(console: Running, *words: str) -> str:
    command = [CITYWATCH, "users", *words, "--data", str(console.desk.parent)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def console(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For all of this module: no two of its tests make the same alert."""
    data = tmp_path_factory.mktemp("streamed") / "data"
    shutil.copytree(begun, data, ignore=shutil.ignore_patterns("desk.sqlite*"))
    with serving(data) as running:
        yield running


@pytest.fixture(scope="module")
def secret(console: Running) -> str:
    return users(console, "keys", "add", "follower", "--scope", "alerts:read", "--scope", "reveal")


class Stream:
    """Reads server-sent events."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        self.last = ""

    def next(self) -> dict[str, Any]:
        """The next alert."""
        event: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            event[name] = value
        self.last = event.get("id", self.last)
        if "event" not in event:
            return self.next()
        assert event["event"] == "alert"
        alert: dict[str, Any] = json.loads(event["data"])
        return alert


@contextmanager
def stream(console: Running, secret: str, query: str = "", last: str | None = None) -> Iterator[Stream]:
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
    headers = {"Authorization": f"Bearer {secret}", **({"Last-Event-ID": last} if last else {})}
    connection.request("GET", f"/api/v1/alerts/stream?{query}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.headers["Content-Type"] == "text/event-stream"
    events = Stream(response)
    assert response.readline() == b"retry: 1000\n"  # the stream has begun: what happens from now on is told
    try:
        yield events
    finally:
        response.close()
        connection.close()


def born(console: Running, *names: int, **told: object) -> None:
    with Desk(console.desk) as desk:
        desk.put_facts(table(fact(name, **told) for name in names), now=now_us())


def test_what_is_new_and_what_changes_is_told_masked_and_as_one_reads_it(console: Running, secret: str) -> None:
    with stream(console, secret) as events:
        born(console, 100)
        new = events.next()
        with Desk(console.desk) as desk:
            desk.act(alert_id(3), Wish(Action.ACK, by="bo", channel="cli"))
        changed = events.next()
    assert new["id"] == alert_id(100)
    assert new["group"] == {"plate": "•••"}
    assert (changed["id"], changed["state"]) == (alert_id(3), "acknowledged")


def test_who_comes_back_gets_all_that_changed_meanwhile_however_much(console: Running, secret: str) -> None:
    with stream(console, secret) as events:
        born(console, 110)
        events.next()
    many = range(200, 650)
    born(console, *many)
    with stream(console, secret, last=events.last) as again:
        assert [again.next()["id"] for _ in many] == [alert_id(name) for name in many]


def test_only_the_rules_and_levels_that_were_asked_for_are_told(console: Running, secret: str) -> None:
    with stream(console, secret, "rule=silence&level=low") as events:
        born(console, 120)
        born(console, 121, rule="silence")
        born(console, 122, rule="silence", level="low")
        assert events.next()["id"] == alert_id(122)


def test_unmasked_each_alert_that_is_sent_is_recorded(console: Running, secret: str) -> None:
    with stream(console, secret, "purpose=drill") as events:
        born(console, 130)
        assert events.next()["group"] == {"plate": "K1234"}
    with Desk(console.desk) as desk:
        (entry,) = desk.audited()
    assert (entry["who"], entry["purpose"], entry["alert"]) == ("key:follower", "drill", alert_id(130))


def test_a_place_beyond_the_end_is_the_end_so_that_another_data_directory_is_followed(
    console: Running, secret: str
) -> None:
    with stream(console, secret, last="999999999") as events:
        born(console, 140)
        assert events.next()["id"] == alert_id(140)


def test_a_place_that_is_none_is_refused(console: Running, secret: str) -> None:
    for last in ("x", "-1", "1.5", "9" * 30):
        connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
        headers = {"Authorization": f"Bearer {secret}", "Last-Event-ID": last}
        connection.request("GET", "/api/v1/alerts/stream", headers=headers)
        assert connection.getresponse().status == 422
        connection.close()


@pytest.mark.parametrize("by", ["key", "session"])
def test_a_stream_ends_when_its_key_or_its_person_is_let_in_no_more(
    desk: Desk, anna: Client, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    from django.test import RequestFactory

    from citywatch.console import stream as pages
    from citywatch.console.access import Right
    from citywatch.console.api import changes, shapes
    from citywatch.console.models import ApiKey, revoke_key
    from citywatch.console.people import add_person, remove_person

    monkeypatch.setattr(pages, "HEARTBEAT", 0.05)
    request = RequestFactory().get("/", headers=key("alerts:read") if by == "key" else {})
    request.session = anna.session

    def let_in_no_more() -> None:
        if by == "key":
            revoke_key(ApiKey.objects.latest("pk").name)
        else:
            remove_person("anna")

    async def read() -> list[str]:
        parts = []
        async for part in changes._events(request, shapes.Kinds(), None):
            parts.append(part)
            if len(parts) == 3:
                await sync_to_async(let_in_no_more)()
        return parts

    begin, *still = asyncio.run(read())
    assert begin.startswith("retry: ")
    assert set(still) == {": still here\n\n"}
    if by == "session":
        add_person("anna", [Right.ADMIN])  # the other tests of this process go on with her


@pytest.mark.parametrize("of", ["pages", "programs"])
def test_a_stream_that_never_rests_ends_as_well_when_its_person_is_let_in_no_more(
    desk: Desk, anna: Client, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    from django.test import RequestFactory

    from citywatch.console import stream as pages
    from citywatch.console.access import Right
    from citywatch.console.api import changes, shapes
    from citywatch.console.people import add_person, remove_person
    from citywatch.triage import Choice

    monkeypatch.setattr(pages, "HEARTBEAT", 0.2)  # a look at the desk every 0.1 s finds news each time
    request = RequestFactory().get("/")
    request.session = anna.session
    opened = {
        "pages": lambda: pages._stream(request, 0, Choice(), None),
        "programs": lambda: changes._events(request, shapes.Kinds(), 0),
    }

    async def read() -> int:
        count = 0
        async for _ in opened[of]():
            count += 1
            if count == 2:
                await sync_to_async(remove_person)("anna")
            assert count < 100
            with Desk(desk.path) as writing:
                writing.put_facts(table([fact(count)]), now=now_us())
        return count

    assert asyncio.run(read()) >= 2
    add_person("anna", [Right.ADMIN])  # the other tests of this process go on with her


def test_a_misspelt_filter_of_a_stream_is_refused(console: Running, secret: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
    connection.request("GET", "/api/v1/alerts/stream?levels=high", headers={"Authorization": f"Bearer {secret}"})
    response = connection.getresponse()
    assert response.status == 422
    assert b"levels" in response.read()
    connection.close()
