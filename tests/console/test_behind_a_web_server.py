"""A console that a web server stands in front of, which speaks TLS and hands on what it is asked."""

from __future__ import annotations

import http.client
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.desk.facts import alert_id

from .conftest import Running, serving

ADDRESS = "https://alerts.example.org"


@pytest.fixture(scope="module")
def console(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("behind") / "data"
    shutil.copytree(begun, data, ignore=shutil.ignore_patterns("desk.sqlite*"))
    with serving(data, address=ADDRESS) as running:
        yield running


def asked(console: Running, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, list[str]]:
    """Status, content and cookies of what the web server is answered when it hands this on."""
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
    handed_on = {"Host": "alerts.example.org", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body or None, handed_on)
    response = connection.getresponse()
    cookies = [value for name, value in response.getheaders() if name.lower() == "set-cookie"]
    content = response.read().decode()
    connection.close()
    return response.status, content, cookies


@pytest.fixture(scope="module")
def signed_in(console: Running) -> str:
    """The cookie of a person who came by the link, which names what people type."""
    assert console.link().startswith(f"{ADDRESS}/sign-in/")
    status, _, cookies = asked(console, "GET", urllib.parse.urlsplit(console.link()).path)
    assert status == 302
    assert all("Secure" in cookie for cookie in cookies)
    return "; ".join(cookie.split(";")[0] for cookie in cookies)


def acted(console: Running, cookie: str, alert: int, **headers: str) -> int:
    """The status of a form that was sent from the page of an alert."""
    page = f"/alerts/{alert_id(alert)}"
    _, html, _ = asked(console, "GET", page, Cookie=cookie)
    token = html.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    form = urllib.parse.urlencode({"action": "note", "note": "seen", "csrfmiddlewaretoken": token})
    kind = {"Content_Type": "application/x-www-form-urlencoded", "Sec_Fetch_Site": "same-origin"}
    return asked(console, "POST", f"{page}/act", form, Cookie=cookie, **kind, **headers)[0]


@pytest.mark.parametrize("host", ["alerts.example.org", "127.0.0.1"])
def test_a_person_acts_whether_or_not_the_server_hands_on_the_name(console: Running, signed_in: str, host: str) -> None:
    assert acted(console, signed_in, 3, Origin=ADDRESS, Host=host) == 302


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_page_of_another_origin_may_not(console: Running, signed_in: str, origin: str) -> None:
    assert acted(console, signed_in, 4, Origin=origin) == 403


def test_another_name_is_no_name_of_it(console: Running) -> None:
    assert asked(console, "GET", "/sign-in", Host="evil.example")[0] == 400


def test_who_sends_events_needs_a_key_though_the_server_asks_from_this_machine(console: Running) -> None:
    event = '{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-05-01T12:00:00Z"}'
    status, _, _ = asked(console, "POST", "/api/v1/events", event, Content_Type="application/cloudevents+json")
    assert status == 401
