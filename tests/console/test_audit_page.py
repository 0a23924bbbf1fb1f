"""The auditor's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import alert_id, fact, table

from .conftest import visitor

if TYPE_CHECKING:
    from django.test import Client


def person(name: str, right: str) -> Client:
    from citywatch.console.access import Right
    from citywatch.console.models import make_link
    from citywatch.console.people import add_person

    add_person(name, [Right(right)])
    client = visitor()
    client.get(f"/sign-in/{make_link(name, all_rights=False)}")
    return client


def test_an_auditor_sees_who_looked_up_a_plate_and_why(desk: Desk, anna: Client) -> None:
    desk.put_facts(table([fact(1), fact(2)]), now=now_us())
    anna.post(f"/alerts/{alert_id(1)}/reveal", {"purpose": "a complaint"})
    desk.audit("bo", "alerts list")
    auditor = person("otto", "auditor")
    page = auditor.get("/audit").content.decode()
    assert "a complaint" in page
    assert "may have shown it" not in page
    found = auditor.post("/audit", {"plate": "k1234"}).content.decode()
    assert "<strong>anna</strong>: a complaint" in found
    assert found.count("may have shown it") == 1
    assert "a complaint" not in auditor.post("/audit", {"plate": "OTHER"}).content.decode()
    assert "<strong>bo</strong>" not in auditor.post("/audit", {"who": "anna"}).content.decode()


def test_the_log_is_paged(desk: Desk) -> None:
    for number in range(205):
        desk.audit("bo", f"look {number:03}")
    auditor = person("otto", "auditor")
    page = auditor.get("/audit").content.decode()
    seen = page.count("<strong>bo</strong>")
    while 'name="before" value="' in page:
        page = auditor.post("/audit", {"before": page.split('name="before" value="')[1].split('"')[0]}).content.decode()
        seen += page.count("<strong>bo</strong>")
    assert seen == 205
    assert "look 000" in page


def test_it_is_for_auditors_only_and_others_are_not_led_there(desk: Desk) -> None:
    desk.audit("bo", "alerts list")
    operator = person("olga", "operator")
    refused = operator.get("/audit")
    assert refused.status_code == 403
    assert "<strong>bo</strong>" not in refused.content.decode()
    assert 'href="/audit"' not in operator.get("/").content.decode()
    assert 'href="/audit"' in person("otto", "auditor").get("/").content.decode()


def test_a_plate_stands_in_no_address(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=now_us())
    auditor = person("otto", "auditor")
    assert 'method="post" action="/audit"' in auditor.get("/audit").content.decode()
    assert auditor.get("/audit?plate=K1234").content.decode().count("K1234") == 0
