"""The pages of proposals for tickets, and the images of evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.console import site
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from citywatch.ticketing import Decision, Verdict
from tests.console.conftest import visitor
from tests.unit.desk.facts import alert_id, event, fact, table
from tests.unit.desk.violations import corrected, violation
from tests.unit.stores.pictures import DOT, picture

if TYPE_CHECKING:
    from django.test import Client

YES = Decision(Verdict.APPROVE, by="bo", channel="cli")


@pytest.fixture
def gallery(desk: Desk) -> Iterator[Gallery]:
    opened = Gallery(DataDirectory(desk.path.parent))
    site.install(replace(site.current(), gallery=opened))
    yield opened


@pytest.fixture
def proposals(desk: Desk, gallery: Gallery) -> list[dict[str, Any]]:
    """K1 with an image that is here, K2 with one that is awaited, K3 without."""
    gallery.receive("i1", picture())
    desk.clear_inbox(10)
    desk.put_violations(
        [
            violation("v1", plate="K1", image_id="i1", address="907 W 91st St"),
            violation("v2", 1, plate="K2", image_id="i2", code=14),
            violation("v3", 2, plate="K3", precinct=24, code=21),
        ]
    )
    return desk.proposals()


def person(name: str, *rights: str) -> Client:
    from citywatch.console.access import Right
    from citywatch.console.people import add_person

    client = visitor()
    client.force_login(add_person(name, [Right(right) for right in rights]))
    return client


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_the_list_shows_what_is_proposed_without_plates(proposals: list[dict[str, Any]], anna: Client) -> None:
    text = page(anna, "/tickets")
    assert "46 Double parking" in text
    assert "907 W 91st St" in text
    assert "image has not come" in text
    assert "no image" in text
    for plate in ("K1", "K2", "K3"):
        assert f">{plate}" not in text
    assert text.count('type="checkbox"') == 3


def test_a_proposal_shows_plate_and_image_to_who_says_why(
    desk: Desk, proposals: list[dict[str, Any]], anna: Client
) -> None:
    address = f"/tickets/{proposals[0]['id']}"
    before = page(anna, address)
    assert "The image is hidden" in before
    assert "K1 " not in before
    assert anna.get(f"{address}/image").status_code == 403
    assert anna.post(f"{address}/reveal", {"purpose": " "}).status_code == 422
    anna.post(f"{address}/reveal", {"purpose": "decide about a ticket"})
    after = page(anna, address)
    assert "K1 · $115" in after
    assert f'src="{address}/image"' in after
    response = anna.get(f"{address}/image")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    said = [(entry["who"], entry["what"].split(" of ")[0], entry["purpose"]) for entry in desk.audited()]
    assert said == [("anna", "image", None), ("anna", "reveal", "decide about a ticket")]


def test_a_plate_in_words_beside_it_is_hidden_as_well(desk: Desk, gallery: Gallery, anna: Client) -> None:
    desk.clear_inbox(10)
    desk.put_violations([violation("K1_7", plate="K1", address="in front of K-1", vehicle_make="K1")])
    found = desk.proposals()[0]
    desk.decide(found["id"], Decision(Verdict.REFUSE, by="bo", channel="cli", reason="it is not k1 that is there"))
    for address in ("/tickets?state=refused", f"/tickets/{found['id']}"):
        shown = re.sub(found["id"], "", page(anna, address))
        assert not re.findall(r"(?i)\bk-?1(?![a-z0-9])", shown), address
    assert "it is not ••• that is there" in page(anna, f"/tickets/{found['id']}")
    anna.post(f"/tickets/{found['id']}/reveal", {"purpose": "billing"})
    assert "it is not k1 that is there" in page(anna, f"/tickets/{found['id']}")


def test_one_is_approved_and_another_refused_with_a_reason(
    desk: Desk, proposals: list[dict[str, Any]], anna: Client
) -> None:
    first, second, _ = proposals
    approve = {"verdict": "approve", "version": first["version"]}
    assert anna.post(f"/tickets/{first['id']}/decide", approve).status_code == 302
    refuse = {"verdict": "refuse", "version": second["version"]}
    assert anna.post(f"/tickets/{second['id']}/decide", refuse).status_code == 422
    anna.post(f"/tickets/{second['id']}/decide", {**refuse, "reason": "the plate is not to be read"})
    states = {p["plate"]: (p["state"], p["decided_by"], p["reason"]) for p in desk.proposals()}
    assert states["K1"] == ("approved", "anna", None)
    assert states["K2"] == ("refused", "anna", "the plate is not to be read")
    assert "refuse</strong> by anna: the plate is not to be read" in page(anna, f"/tickets/{second['id']}")


def test_what_has_changed_since_the_page_was_made_is_not_decided(
    desk: Desk, proposals: list[dict[str, Any]], anna: Client
) -> None:
    desk.put_violations([violation("v9", 5, plate="K1")])
    seen = proposals[0]
    response = anna.post(f"/tickets/{seen['id']}/decide", {"verdict": "approve", "version": seen["version"]})
    assert response.status_code == 409
    assert "has changed since you looked" in response.content.decode()
    assert desk.proposal(seen["id"])["state"] == "proposed"


@pytest.mark.parametrize("form", [{}, {"verdict": "burn"}, {"verdict": "refuse"}], ids=str)
def test_a_form_that_is_none_of_ours_decides_nothing(
    desk: Desk, proposals: list[dict[str, Any]], anna: Client, form: dict[str, str]
) -> None:
    response = anna.post(f"/tickets/{proposals[0]['id']}/decide", {"version": proposals[0]["version"], **form})
    assert response.status_code == 422
    assert desk.proposal_counts()["proposed"] == 3


def test_without_the_right_one_looks_and_decides_nothing(desk: Desk, proposals: list[dict[str, Any]]) -> None:
    ben = person("ben", "operator")
    seen = proposals[0]
    assert "checkbox" not in page(ben, "/tickets")
    assert ">Approve<" not in page(ben, f"/tickets/{seen['id']}")
    assert (
        ben.post(f"/tickets/{seen['id']}/decide", {"verdict": "approve", "version": seen["version"]}).status_code == 403
    )
    chosen = {"proposal": f"{seen['id']} {seen['version']}", "sure": "1", "verdict": "approve"}
    assert ben.post("/tickets/decide", chosen).status_code == 403
    assert ben.post(f"/tickets/{seen['id']}/reveal", {"purpose": "x"}).status_code == 403
    assert desk.proposal_counts()["proposed"] == 3


def test_the_right_to_decide_is_one_of_its_own(desk: Desk, proposals: list[dict[str, Any]]) -> None:
    seen = proposals[0]
    person("tina", "tickets").post(f"/tickets/{seen['id']}/decide", {"verdict": "approve", "version": seen["version"]})
    assert desk.proposal(seen["id"])["decided_by"] == "tina"


def chosen(proposals: list[dict[str, Any]]) -> list[str]:
    return [f"{proposal['id']} {proposal['version']}" for proposal in proposals]


def test_many_are_approved_after_a_second_look(desk: Desk, proposals: list[dict[str, Any]], anna: Client) -> None:
    asked = anna.post("/tickets/decide", {"proposal": chosen(proposals)})
    text = asked.content.decode()
    assert asked.status_code == 200
    assert "Approve 3 proposals?" in text
    assert "2 without an image" in text
    assert desk.proposal_counts()["approved"] == 0
    anna.post("/tickets/decide", {"proposal": chosen(proposals), "sure": "1", "verdict": "approve"})
    assert desk.proposal_counts()["approved"] == 3


def test_many_are_approved_together_or_not_at_all(desk: Desk, proposals: list[dict[str, Any]], anna: Client) -> None:
    desk.put_violations([violation("v9", 5, plate="K2", code=14)])
    response = anna.post("/tickets/decide", {"proposal": chosen(proposals), "sure": "1", "verdict": "approve"})
    assert response.status_code == 409
    assert "None of them was approved" in response.content.decode()
    assert desk.proposal_counts()["proposed"] == 3


def test_choosing_nothing_leads_back(proposals: list[dict[str, Any]], anna: Client) -> None:
    assert anna.post("/tickets/decide").headers["Location"] == "/tickets"


def test_a_ticket_that_was_issued_for_the_same_violation_is_shown(desk: Desk, anna: Client, gallery: Gallery) -> None:
    desk.put_violations([violation("v1")])
    desk.decide(desk.proposals()[0]["id"], YES)
    desk.begin_batch(desk.path.parent, "bo", 77)
    desk.put_violations([], [corrected("c1", "v1", 38)])
    (proposal,) = [p for p in desk.proposals() if p["state"] == "proposed"]
    assert "under another code, ticket 77 was issued" in page(anna, f"/tickets/{proposal['id']}")
    assert "has a ticket" in page(anna, "/tickets")


def test_lists_go_on_page_by_page(desk: Desk, anna: Client, gallery: Gallery) -> None:
    desk.put_violations([violation(f"v{n:03}", n, plate=f"P{n:03}") for n in range(60)])
    first = page(anna, "/tickets")
    assert first.count("ticket-row") == 50
    following = first.split('class="button" href="')[1].split('"')[0].replace("&amp;", "&")
    assert page(anna, "/tickets" + following).count("ticket-row") == 10


@pytest.mark.parametrize("address", ["/tickets/zz", "/tickets/ffff", "/tickets?time=x&after=y"])
def test_what_is_not_there_is_said(anna: Client, gallery: Gallery, address: str) -> None:
    assert anna.get(address).status_code == 404


def test_the_image_of_evidence_is_hidden_until_a_purpose_is_given(desk: Desk, gallery: Gallery, anna: Client) -> None:
    gallery.receive("i1", DOT)
    seen = [event("v1", plate="K9", image_id="i1"), event("v2", image_id="i2"), event("v3")]
    desk.put_facts(table([fact(1, evidence=seen)]))
    address = f"/alerts/{alert_id(1)}"
    before = page(anna, address)
    assert before.count("The image is hidden") == 1
    assert before.count("Its image has not come yet") == 1
    assert "<img" not in before
    assert anna.get(f"{address}/images/1").status_code == 403
    anna.post(f"{address}/reveal", {"purpose": "check for a mistake"})
    assert f'<img src="{address}/images/1"' in page(anna, address)
    response = anna.get(f"{address}/images/1")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/png")
    assert [anna.get(f"{address}/images/{n}").status_code for n in (0, 2, 3, 4)] == [404, 404, 404, 404]
    assert desk.audited()[0]["alert"] == alert_id(1)


def test_nobody_sees_proposals_without_signing_in(proposals: list[dict[str, Any]]) -> None:
    for address in ("/tickets", f"/tickets/{proposals[0]['id']}", f"/tickets/{proposals[0]['id']}/image"):
        assert visitor().get(address).headers["Location"].startswith("/sign-in")
