"""The API of tickets, asked as a program asks it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import Any

import pytest

from citywatch.console import site
from citywatch.stores.desk import Desk
from citywatch.stores.issuing import Office
from citywatch.triage import Asked
from tests.console.conftest import key, visitor
from tests.console.test_api import is_problem
from tests.unit.desk.violations import corrected, violation

CLERK = ("tickets:read", "tickets:decide", "tickets:export", "reveal")


class Program:
    """Asks with a key of these scopes."""

    def __init__(self, *scopes: str) -> None:
        self.client = visitor()
        self.headers = key(*scopes)

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(f"/api/v1/tickets{path}", query_params=query, headers=self.headers)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        content = b"" if body is None else json.dumps(body)
        return self.client.post(
            f"/api/v1/tickets/{path}",
            content,
            content_type="application/json",
            headers=self.headers,
            query_params=query,
        )


@pytest.fixture
def clerk(desk: Desk) -> Program:
    """With three proposals, of the plates K1, K2, K3."""
    office = Office(lambda: Desk(desk.path), desk.path.parent / "tickets", 7_000, "America/New_York")
    site.install(replace(site.current(), issuer=office))
    desk.put_violations(
        [
            violation("v1", plate="K1", image_id="i1", address="907 W 91st St"),
            violation("v2", 1, plate="K2", code=14),
            violation("v3", 2, plate="K3", code=21, precinct=24),
        ]
    )
    return Program(*CLERK)


def ids(desk: Desk) -> list[str]:
    return [proposal["id"] for proposal in desk.proposals()]


def test_the_words_of_a_masked_proposal_hide_its_plate_too(clerk: Program, desk: Desk) -> None:
    desk.put_violations([violation("K9X_1", 3, plate="K9X", address="before K9-X", image_id="K9X.jpg")])
    found = next(proposal for proposal in desk.proposals() if proposal["plate"] == "K9X")
    answer = clerk.post(f"{found['id']}/refuse", {"reason": "not k9x at all"})
    assert answer.json()["reason"] == "not ••• at all"
    assert answer.json()["address"] == "before •••"
    assert answer.json()["violations"] == [{"source": "drone/4", "id": "•••_1"}]
    assert clerk.get(f"/{found['id']}", purpose="a test").json()["address"] == "before K9-X"


def test_a_list_is_that_of_the_command_line_and_masked(clerk: Program, desk: Desk) -> None:
    shown = clerk.get().json()
    assert shown["next_cursor"] is None
    expected = [{**p, "plate": "•••", "image_id": "•••" if p["image_id"] else None} for p in desk.proposals()]
    assert shown["tickets"] == json.loads(json.dumps(expected))
    assert clerk.get(f"/{ids(desk)[0][:9]}").json() == shown["tickets"][0]


def test_plates_are_shown_for_a_purpose_that_is_recorded(clerk: Program, desk: Desk) -> None:
    assert [t["plate"] for t in clerk.get(purpose="billing", code="46").json()["tickets"]] == ["K1"]
    (entry,) = desk.audited(Asked(subject=("plate", "K1")))
    assert (entry["what"], entry["purpose"], entry["sure"]) == (f"api of proposal {ids(desk)[0][:12]}", "billing", True)
    assert desk.audited(Asked(subject=("plate", "K2"))) == []
    is_problem(Program("tickets:read").get(purpose="billing"), 403)


def test_pages_follow_each_other(clerk: Program, desk: Desk) -> None:
    first = clerk.get(limit="2")
    assert [t["id"] for t in first.json()["tickets"]] == ids(desk)[:2]
    cursor = first.json()["next_cursor"]
    assert first["Link"] == f'</api/v1/tickets?limit=2&cursor={cursor}>; rel="next"'
    second = clerk.get(limit="2", cursor=cursor).json()
    assert ([t["id"] for t in second["tickets"]], second["next_cursor"]) == (ids(desk)[2:], None)


def test_a_list_can_be_of_some_states_and_codes(clerk: Program, desk: Desk) -> None:
    clerk.post(f"{ids(desk)[1]}/approve")
    assert [t["id"] for t in clerk.get(state="approved").json()["tickets"]] == ids(desk)[1:2]
    assert [t["violation_code"] for t in clerk.get(code=["21", "46"]).json()["tickets"]] == [46, 21]
    is_problem(clerk.get(state="lost"), 422)
    assert "There is no parameter colour" in is_problem(clerk.get(colour="red"), 422)["detail"]


def test_decisions_are_kept_with_the_key_that_made_them(clerk: Program, desk: Desk) -> None:
    first, second, _ = ids(desk)
    approved = clerk.post(f"{first}/approve", {"reason": "clear"}).json()
    assert (approved["state"], approved["plate"], approved["reason"]) == ("approved", "•••", "clear")
    assert clerk.post(f"{second}/refuse", {"reason": "no plate"}, purpose="check").json()["plate"] == "K2"
    (decision,) = desk.decisions(second)
    assert decision["channel"] == "api"
    assert decision["by"].startswith("key:")


def test_what_cannot_be_decided_is_refused_and_says_why(clerk: Program, desk: Desk) -> None:
    first, *_ = desk.proposals()
    is_problem(clerk.post(f"{first['id']}/refuse", {}), 422)
    is_problem(clerk.post(f"{first['id']}/approve", {"fine": 5}), 422)
    is_problem(clerk.post("ffff/approve"), 404)
    is_problem(clerk.get("/zz"), 404)
    desk.put_violations([violation("v9", 3, plate="K1")])
    stale = clerk.post(f"{first['id']}/approve", {"version": first["version"] + "x"})
    assert "has changed since you looked" in is_problem(stale, 409)["detail"]
    clerk.post(f"{first['id']}/approve")
    is_problem(clerk.post(f"{first['id']}/approve"), 409)
    desk.put_violations([], [corrected("c1", "v1", 20), corrected("c2", "v9", 20)])
    is_problem(clerk.post(f"{first['id']}/refuse", {"reason": "x"}), 409)


def test_tickets_are_issued_once_and_their_file_can_be_fetched(clerk: Program, desk: Desk) -> None:
    for proposal in ids(desk)[:2]:
        clerk.post(f"{proposal}/approve")
    assert clerk.post("export").json() == {"batches": [{"batch": 1, "tickets": 2, "summons": ["7000", "7001"]}]}
    assert clerk.post("export").json() == {"batches": []}
    assert [t["summons_number"] for t in clerk.get(state="exported").json()["tickets"]] == ["7000", "7001"]
    assert len(desk.take_inbox()) == 2
    file = clerk.get("/batches/1", purpose="billing")
    assert file["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["Plate ID"] for row in csv.DictReader(file.content.decode().splitlines())] == ["K1", "K2"]
    assert desk.audited(1)[0]["what"] == "tickets of batch 1"
    is_problem(clerk.get("/batches/1"), 422)
    is_problem(clerk.get("/batches/2", purpose="billing"), 404)
    (desk.path.parent / "tickets" / "tickets-000001.csv").unlink()
    is_problem(clerk.get("/batches/1", purpose="billing"), 503)


def test_an_export_that_was_interrupted_is_finished(clerk: Program, desk: Desk) -> None:
    clerk.post(f"{ids(desk)[0]}/approve")
    desk.begin_batch(desk.path.parent / "tickets", "bo", 7_000)
    is_problem(clerk.get("/batches/1", purpose="billing"), 404)
    assert clerk.post("export").json()["batches"] == [{"batch": 1, "tickets": 1, "summons": ["7000"]}]
    assert clerk.get("/batches/1", purpose="billing").status_code == 200


@pytest.mark.parametrize(
    ("scopes", "path"),
    [
        (("alerts:read", "alerts:act"), ""),
        (("tickets:read",), "{id}/approve"),
        (("tickets:read", "tickets:decide"), "export"),
        (CLERK[:3], "/batches/1"),
    ],
)
def test_each_thing_needs_its_scope(clerk: Program, desk: Desk, scopes: tuple[str, ...], path: str) -> None:
    program = Program(*scopes)
    if path == "" or path.startswith("/"):
        is_problem(program.get(path, **({"purpose": "x"} if path else {})), 403)
    else:
        is_problem(program.post(path.format(id=ids(desk)[0])), 403)
    assert desk.proposal_counts()["proposed"] == 3
    assert visitor().get(f"/api/v1/tickets{path if path.startswith('/') else ''}").status_code == 401


def test_a_console_without_a_data_directory_issues_nothing_and_says_where(clerk: Program) -> None:
    site.install(replace(site.current(), issuer=None))
    assert "citywatch tickets export" in is_problem(clerk.post("export"), 503)["detail"]
