"""Hosts, origins, headers: what a page of somebody else cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from citywatch.console import site
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import alert_id, fact, table

from .conftest import visitor

if TYPE_CHECKING:
    from django.test import Client


def signed_in(desk: Desk) -> Client:
    desk.put_facts(table([fact(1)]), now=now_us())
    client = visitor(csrf=True)
    client.get(site.link("anna").removeprefix("http://127.0.0.1:8000"))
    return client


def token(client: Client) -> str:
    html = client.get(f"/alerts/{alert_id(1)}").content.decode()
    return html.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]


def ack(client: Client, **headers: str) -> int:
    form = {"action": "ack", "csrfmiddlewaretoken": token(client)}
    return client.post(f"/alerts/{alert_id(1)}/act", form, headers=headers).status_code


def test_our_own_page_may_write(desk: Desk) -> None:
    client = signed_in(desk)
    assert ack(client) == 302
    assert ack(client, origin="http://127.0.0.1:8000") == 302


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_origin_may_not_even_with_our_token(desk: Desk, headers: dict[str, str]) -> None:
    assert ack(signed_in(desk), **headers) == 403


def test_a_write_without_our_token_is_refused(desk: Desk) -> None:
    client = signed_in(desk)
    assert client.post(f"/alerts/{alert_id(1)}/act", {"action": "ack"}).status_code == 403
    assert client.post("/sign-out").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.7"])
def test_another_host_name_is_refused_so_that_no_name_can_be_turned_against_us(desk: Desk, host: str) -> None:
    assert visitor().get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/sign-in", "/healthz", "/nowhere"])
def test_every_answer_forbids_foreign_scripts_frames_and_caches(desk: Desk, path: str) -> None:
    answer = visitor().get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (answer["X-Content-Type-Options"], answer["Cache-Control"]) == ("nosniff", "no-store")


def test_pages_hold_no_script_or_style_of_their_own(anna: Client, desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=now_us())
    for path in ("/", f"/alerts/{alert_id(1)}"):
        html = anna.get(path).content.decode()
        assert "style=" not in html
        assert "<style" not in html
        assert " on" not in " ".join(part.split("=")[0] for part in html.split("<script")[1:])
        assert html.count("<script") == html.count('<script src="/static/')
        assert "//" not in html.replace("http://www.w3.org", "").replace("http://127.0.0.1", "")


def test_the_session_s_cookie_is_not_for_scripts_and_named_by_port(desk: Desk) -> None:
    answer = visitor().get(site.link("anna").removeprefix("http://127.0.0.1:8000"))
    cookie = answer.cookies["citywatch_8000"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_the_key_that_signs_cookies_is_readable_by_its_owner_only(desk: Desk) -> None:
    assert (site.current().data / "console.secret").stat().st_mode & 0o777 == 0o600
