"""The pages as a browser without scripts gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from citywatch.alert import Action
from citywatch.console import site
from citywatch.delivery import Planned, Room
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id, event, fact, table

from .conftest import visitor

if TYPE_CHECKING:
    from django.test import Client


def put(desk: Desk, *facts: dict[str, object]) -> None:
    desk.put_facts(table(facts), now=now_us())


def page(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def post(client: Client, path: str, status: int = 302, **form: str) -> str:
    response = client.post(path, form)
    assert response.status_code == status, response.content.decode()
    return response.content.decode()


def state(desk: Desk, name: int = 1) -> str:
    return str(desk.alert(alert_id(name)).alert["state"])


@pytest.mark.parametrize("path", ["/", f"/alerts/{alert_id(1)}", f"/alerts/{alert_id(1)}/news", "/stream"])
def test_who_is_not_signed_in_is_shown_how(desk: Desk, path: str) -> None:
    put(desk, fact(1))
    answer = visitor().get(path)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/sign-in")
    assert "citywatch up" in page(visitor(), "/sign-in")


def test_a_link_signs_in_once(desk: Desk) -> None:
    path = site.link("bo").removeprefix("http://127.0.0.1:8000")
    first, second = visitor(), visitor()
    assert first.get(path)["Location"] == "/"
    assert page(first, "/")
    assert "used up" in page(second, path, 403)
    assert first.get(path)["Location"] == "/"


def test_signing_out_ends_it(anna: Client) -> None:
    post(anna, "/sign-out")
    assert anna.get("/").status_code == 302


def test_the_list_shows_the_newest_first_with_words_and_without_plates(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, title="First thing"), fact(2, title="Second thing", level="low"))
    html = page(anna, "/")
    assert html.index("Second thing") < html.index("First thing")
    assert "K1234" not in html
    assert "••• seen 31.2 km apart" in html


def test_the_list_is_chosen_by_state_level_and_rule(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, title="Bad"), fact(2, title="Mild", level="low", rule="mild"), fact(3, title="Done", level="low"))
    desk.act(alert_id(3), Wish(Action.CLOSE, by="bo", channel="cli", outcome="duplicate"))
    assert "Bad" not in page(anna, "/?level=low")
    assert "Done" not in page(anna, "/?level=low&state=open")
    assert "Done" in page(anna, "/?state=closed")
    assert "Bad" not in page(anna, "/?rule=mild")
    assert "Bad" in page(anna, "/?level=nonsense&state=nonsense&before=nonsense")


def test_older_alerts_are_a_page_away(anna: Client, desk: Desk) -> None:
    put(desk, *(fact(name, title=f"Alert {name:03}") for name in range(60)))
    html = page(anna, "/")
    assert "Alert 010" in html
    assert "Alert 009" not in html
    older = html.split('class="button" href="')[1].split('"')[0]
    assert "Alert 009" in page(anna, "/" + older)
    assert "sse-connect" not in page(anna, "/" + older)


def test_an_alert_s_page_has_reason_evidence_map_runbook_and_values(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, evidence=[event("r1", plate="K1234", lat=40.7, lon=-74.0, violation_code=46)]))
    html = page(anna, f"/alerts/{alert_id(1)}")
    for words in ("31.2 km apart", "Compare both images", "trailers", "<svg viewBox", "468", "drone/4 r1", "40.7000 N"):
        assert words in html
    assert "K1234" not in html


def test_words_from_messages_are_text_never_markup(anna: Client, desk: Desk) -> None:
    nasty = "<script>alert(1)</script>"
    put(desk, fact(1, reason=nasty, title=nasty, address=nasty, evidence=[event(nasty, violation_code=1, label=nasty)]))
    for path in ("/", f"/alerts/{alert_id(1)}", f"/alerts/{alert_id(1)}/news"):
        assert nasty not in page(anna, path)


def test_what_people_noted_hides_plates_until_somebody_says_why(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, evidence=[event("1", plate="GZH7067")]))
    post(anna, f"/alerts/{alert_id(1)}/act", action="note", note="GZH 7067 was towed")
    for path in (f"/alerts/{alert_id(1)}", f"/alerts/{alert_id(1)}/news"):
        assert "••• was towed" in page(anna, path)
    post(anna, f"/alerts/{alert_id(1)}/act", action="assign", assignee="who asked for GZH7067")
    shown = page(anna, f"/alerts/{alert_id(1)}")
    assert "with <strong>who asked for •••</strong>" in shown
    assert "to who asked for ••• by anna" in shown
    anna.post(f"/alerts/{alert_id(1)}/reveal", {"purpose": "a test"})
    shown = page(anna, f"/alerts/{alert_id(1)}")
    assert "GZH 7067 was towed" in shown
    assert "to who asked for GZH7067 by anna" in shown


def test_an_unknown_alert_is_not_there(anna: Client) -> None:
    assert "no such page or alert" in page(anna, "/alerts/" + "0" * 64, 404)
    assert "no such page or alert" in page(anna, "/alerts/hello", 404)


def test_every_action_of_the_page(anna: Client, desk: Desk) -> None:
    put(desk, fact(1))
    act = f"/alerts/{alert_id(1)}/act"
    post(anna, act, action="ack")
    assert state(desk) == "acknowledged"
    post(anna, act, action="assign")
    assert desk.alert(alert_id(1)).alert["assignee"] == "anna"
    post(anna, act, action="shelve", minutes="30", note="later")
    assert state(desk) == "shelved"
    post(anna, act, action="note", note="it is a trailer")
    post(anna, act, action="close", outcome="false_positive", note="trailer")
    assert state(desk) == "closed"
    assert "Undo" in page(anna, f"/alerts/{alert_id(1)}")
    post(anna, act, action="undo")
    post(anna, act, action="correct", code="38")
    assert desk.alert(alert_id(1)).alert["outcome"] == "corrected"
    assert len(desk.take_inbox()) == 1
    html = page(anna, f"/alerts/{alert_id(1)}")
    for words in ("to code 38", "as false positive", "trailer", "undo</strong> by anna"):
        assert words in html
    assert {entry["channel"] for entry in desk.history(alert_id(1))} == {"console"}


def test_what_the_state_forbids_is_refused_with_the_reason(anna: Client, desk: Desk) -> None:
    put(desk, fact(1))
    desk.act(alert_id(1), Wish(Action.CLOSE, by="bo", channel="cli", outcome="duplicate"))
    html = post(anna, f"/alerts/{alert_id(1)}/act", 409, action="ack")
    assert "is closed: ack is not possible (close by bo" in html


def test_who_was_slower_is_told_and_changes_nothing(anna: Client, desk: Desk) -> None:
    put(desk, fact(1))
    desk.act(alert_id(1), Wish(Action.ACK, by="bo", channel="cli"))
    html = post(anna, f"/alerts/{alert_id(1)}/act", 409, action="close", outcome="duplicate", version="0")
    assert "has changed since you looked" in html
    assert state(desk) == "acknowledged"


@pytest.mark.parametrize(
    "form",
    [
        {"action": "dance"},
        {"action": "close"},
        {"action": "close", "outcome": "boring"},
        {"action": "correct", "code": "4x"},
        {"action": "shelve", "minutes": "soon"},
        {"action": "shelve", "minutes": "-5"},
        {"action": "note", "note": "  "},
        {"action": "note", "note": "n" * 2001},
        {"action": "assign", "assignee": "a" * 151},
        {},
    ],
)
def test_a_form_that_is_not_ours_is_refused_and_nothing_happens(anna: Client, desk: Desk, form: dict[str, str]) -> None:
    put(desk, fact(1))
    post(anna, f"/alerts/{alert_id(1)}/act", 422, **form)
    assert desk.history(alert_id(1)) == []


def test_with_several_violations_the_form_asks_which(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, evidence=[event("v1", violation_code=1), event("v2", violation_code=2)]))
    act = f"/alerts/{alert_id(1)}/act"
    assert "say which one" in post(anna, act, 409, action="correct", code="38")
    post(anna, act, action="correct", code="38", event="drone/4\nv2")
    assert '"corrects_id":"v2"' in desk.take_inbox()[0][1]


def test_plates_are_shown_for_a_purpose_that_is_recorded(anna: Client, desk: Desk) -> None:
    put(desk, fact(1), fact(2))
    reveal = f"/alerts/{alert_id(1)}/reveal"
    post(anna, reveal, 422, purpose=" ")
    assert desk.audited() == []
    post(anna, reveal, purpose="answer a complaint")
    assert "K1234" in page(anna, f"/alerts/{alert_id(1)}")
    assert "K1234" not in page(anna, f"/alerts/{alert_id(2)}")
    assert "K1234" not in page(anna, "/")
    (entry,) = desk.audited()
    assert (entry["who"], entry["what"], entry["alert"], entry["purpose"]) == (
        "anna",
        "reveal",
        alert_id(1),
        "answer a complaint",
    )


def test_without_the_right_nothing_is_revealed(desk: Desk) -> None:
    from citywatch.console.models import make_link

    put(desk, fact(1))
    client = visitor()
    client.get(f"/sign-in/{make_link('carl', all_rights=False)}")
    post(client, f"/alerts/{alert_id(1)}/reveal", 403, purpose="curiosity")
    assert desk.audited() == []
    html = page(client, f"/alerts/{alert_id(1)}")
    assert "K1234" not in html
    assert "Show plates" not in html


def test_rules_in_test_are_shown_to_those_who_ask(anna: Client, desk: Desk) -> None:
    put(desk, fact(1, title="Real"), fact(2, title="Trial", status="test", rule="trial"))
    html = page(anna, "/")
    assert "Real" in html
    assert "Trial" not in html
    assert '<span id="count-open" class="count">1</span>' in html
    html = page(anna, "/?test=1")
    assert "Trial" in html
    assert '<span id="count-open" class="count">2</span>' in html


def test_a_fault_is_told_on_the_terminal_and_a_missing_page_is_not(
    anna: Client, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anna.get("/nowhere").status_code == 404
    assert caplog.records == []
    monkeypatch.setattr(Desk, "rules", lambda _: 1 / 0)
    anna.raise_request_exception = False
    html = page(anna, "/", 500)
    assert "It failed" in html
    assert "ZeroDivisionError" in caplog.text


def test_the_list_says_who_could_not_be_told(anna: Client, desk: Desk) -> None:
    now = now_us()
    desk.put_facts(table([fact(1, first_seen=now)]), now=now)
    assert "could not be told" not in anna.get("/").content.decode()
    desk.plan([Planned(1, "mail/b@example.org", "all", urgent=False, held=False, due=now)], upto=1)
    desk.compose("mail/b@example.org", Room(1, 1))
    envelope = desk.outgoing("mail/b@example.org")
    assert envelope is not None
    desk.give_up(envelope, "550 no such user")
    shown = anna.get("/").content.decode()
    assert "mail could not be told of all alerts: 0 waiting, 1 given up." in shown
    assert "b@example.org" not in shown
