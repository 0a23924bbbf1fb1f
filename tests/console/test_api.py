"""The API of alerts, asked as a program asks it."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.alert import Action
from citywatch.console import site
from citywatch.settings import MINUTE, SECOND
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.triage import Asked, Wish
from tests.unit.desk.facts import NOW, alert_id, event, fact, table

from .conftest import key, visitor

if TYPE_CHECKING:
    from django.test import Client

EVERYTHING = ("alerts:read", "alerts:act", "reveal")


class Program:
    """Asks with a key of these scopes."""

    def __init__(self, *scopes: str) -> None:
        self.client = visitor()
        self.headers = key(*scopes)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/alerts{path}", query_params=query, headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = b"" if body is None else json.dumps(body)
        sent = {**self.headers, **headers}
        return self.client.post(f"/api/v1/alerts/{path}", content, content_type="application/json", headers=sent)


@pytest.fixture
def program(desk: Desk) -> Program:
    desk.put_facts(table([fact(1)]), now=now_us())
    return Program(*EVERYTHING)


ALERT = alert_id(1)


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = json.loads(answer.content)
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_a_list_is_that_of_the_command_line_and_masked(program: Program, desk: Desk) -> None:
    desk.put_facts(table([fact(2, first_seen=NOW - SECOND), fact(3, first_seen=NOW + SECOND)]), now=now_us())
    shown = program.get("").json()
    assert [alert["id"] for alert in shown["alerts"]] == [alert["id"] for alert in desk.alerts()]
    assert shown["next_cursor"] is None
    assert "K1234" not in json.dumps(shown)
    assert shown["alerts"][0]["group"] == {"plate": "•••"}


def test_pages_follow_each_other_while_alerts_come_and_change(program: Program, desk: Desk) -> None:
    desk.put_facts(table(fact(name, first_seen=NOW + name // 3) for name in range(2, 30)), now=now_us())
    seen, path = [], "?limit=7"
    for number in range(9):
        answer = program.client.get(f"/api/v1/alerts{path}", headers=program.headers)
        seen += [alert["id"] for alert in answer.json()["alerts"]]
        desk.put_facts(table([fact(3, first_seen=NOW + 1, count=5 + number)]), now=now_us())
        if (cursor := answer.json()["next_cursor"]) is None:
            break
        path = f"?limit=7&cursor={cursor}"
        assert answer["Link"] == f'</api/v1/alerts?limit=7&cursor={cursor}>; rel="next"'
    assert seen == [alert["id"] for alert in desk.alerts()]


def test_alerts_are_chosen_by_state_rule_level_and_time(program: Program, desk: Desk) -> None:
    told = [fact(2, rule="silence", level="low"), fact(3, rule="silence", first_seen=NOW + MINUTE)]
    desk.put_facts(table(told), now=now_us())
    desk.act(alert_id(3), Wish(Action.ACK, by="bo", channel="cli"))

    def chosen(query: str) -> set[int]:
        answer = program.client.get(f"/api/v1/alerts?{query}", headers=program.headers)
        assert answer.status_code == 200, answer.content
        return {name for name in (1, 2, 3) if alert_id(name) in answer.content.decode()}

    assert chosen("rule=silence") == {2, 3}
    assert chosen("rule=silence&rule=cloned_plate&level=low&level=high") == {1, 2, 3}
    assert chosen("level=low") == {2}
    assert chosen("state=open") == {1, 2}
    assert chosen("state=acknowledged&state=closed") == {3}
    assert chosen("from=2026-05-01T12:01:00Z") == {3}
    assert chosen("from=2026-05-01T08:00:00-04:00&to=2026-05-01T12:01:00.000000Z") == {1, 2}
    assert chosen("state=&rule=&level=&from=&to=&cursor=") == {1, 2, 3}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("state=new", "query.state.0"),
        ("level=hihg", "query.level.0"),
        ("from=yesterday", "query.from"),
        ("to=2026-05-01T12:00:00", "query.to"),
        ("from=2026-13-01T12:00:00Z", "query.from"),
        ("limit=0", "query.limit"),
        ("cursor=x", "query.cursor"),
    ],
)
def test_a_wrong_question_is_refused_with_the_part_that_is_wrong(program: Program, query: str, where: str) -> None:
    problem = is_problem(program.client.get(f"/api/v1/alerts?{query}", headers=program.headers), 422)
    assert [error["where"] for error in problem["errors"]] == [where]


def test_a_misspelt_filter_is_refused_instead_of_showing_more(program: Program) -> None:
    assert "There is no parameter rul" in is_problem(program.get("", rul="x"), 422)["detail"]


def test_one_alert_by_its_id_or_a_beginning_of_it(program: Program) -> None:
    assert program.get(f"/{ALERT}").json() == program.get(f"/{ALERT[:8]}").json()
    assert program.get(f"/{ALERT}").json()["id"] == ALERT


@pytest.mark.parametrize("unknown", ["0" * 64, "abcd", "not-an-id", "%00"])
def test_an_unknown_alert_is_not_found(program: Program, unknown: str) -> None:
    is_problem(program.get(f"/{unknown}"), 404)
    is_problem(program.post(f"{unknown}/ack"), 404)


CLOSE = ("close", {"outcome": "false_positive"})

CHANGES: dict[str, tuple[str, Any]] = {
    "ack": ("ack", None),
    "assign": ("assign", {"assignee": "bo"}),
    "shelve": ("shelve", {"until": "soon"}),
    "close": CLOSE,
    "correct": ("correct", {"code": 38}),
    "note": ("note", {"note": "seen"}),
}

TABLE: dict[str, dict[str, str | None]] = {
    "open": {"ack": "acknowledged", "assign": "acknowledged", "shelve": "shelved", "close": "closed"},
    "acknowledged": {"ack": "acknowledged", "assign": "acknowledged", "shelve": "shelved", "close": "closed"},
    "shelved": {"ack": "acknowledged", "assign": "acknowledged", "shelve": "shelved", "close": "closed"},
    "closed": dict.fromkeys(("ack", "assign", "shelve", "close", "correct")),
}


def do(program: Program, action: str) -> Any:
    name, body = CHANGES[action]
    if action == "shelve":
        body = {"until": in_an_hour()}
    return program.post(f"{ALERT}/{name}", body)


@pytest.mark.parametrize("action", ["ack", "assign", "shelve", "close", "correct", "note"])
@pytest.mark.parametrize("state", ["open", "acknowledged", "shelved", "closed"])
def test_each_action_in_each_state_leads_where_the_table_says(program: Program, state: str, action: str) -> None:
    leading = {"acknowledged": "ack", "shelved": "shelve", "closed": "close"}
    if state in leading:
        assert do(program, leading[state]).status_code == 200
    after = {"correct": "closed", "note": state, **TABLE[state]}.get(action)
    answer = do(program, action)
    if after is None:
        is_problem(answer, 409)
        assert program.get(f"/{ALERT}").json()["state"] == state
        return
    assert answer.status_code == 200, answer.content
    assert answer.json()["state"] == after
    assert answer.json() == program.get(f"/{ALERT}").json()
    if action in ("close", "correct"):
        assert answer.json()["outcome"] == ("corrected" if action == "correct" else "false_positive")
    if action == "note":
        return
    assert program.post(f"{ALERT}/undo").json()["state"] == state


def test_undo_is_for_a_minute_and_for_what_was_done(program: Program, desk: Desk) -> None:
    is_problem(program.post(f"{ALERT}/undo"), 409)
    desk.act(ALERT, Wish(Action.ACK, by="bo", channel="cli"), now=now_us() - MINUTE - SECOND)
    is_problem(program.post(f"{ALERT}/undo"), 409)


def test_actions_are_in_the_log_under_the_name_of_the_key(program: Program, desk: Desk) -> None:
    assert program.post(f"{ALERT}/ack", {"note": "on my way"}).status_code == 200
    assert program.post(f"{ALERT}/assign").json()["assignee"].startswith("key:")
    entry, _ = desk.history(ALERT)
    assert (entry["action"], entry["channel"], entry["note"]) == ("ack", "api", "on my way")
    assert entry["by"].startswith("key:")


def test_a_correction_says_which_violation_where_there_are_several(program: Program, desk: Desk) -> None:
    violations = [event("a", plate="K1", violation_code=46), event("b", plate="K2", violation_code=14)]
    desk.put_facts(table([fact(2, evidence=violations)]), now=now_us())
    is_problem(program.post(f"{alert_id(2)}/correct", {"code": 38}), 409)
    named = {"code": 38, "event": {"source": "drone/4", "id": "b"}}
    assert program.post(f"{alert_id(2)}/correct", named).json()["outcome"] == "corrected"


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("close", None, 422),
        ("close", {"outcome": "maybe"}, 422),
        ("close", {"outcome": "duplicate", "reason": "x"}, 422),
        ("shelve", {"until": "2020-01-01T00:00:00Z"}, 409),
        ("shelve", {"until": "tomorrow"}, 422),
        ("shelve", {}, 422),
        ("correct", {"code": "46"}, 422),
        ("correct", {"code": True}, 422),
        ("correct", {"code": 40_000}, 422),
        ("note", {"note": " "}, 422),
        ("ack", [], 422),
    ],
)
def test_a_wrong_wish_changes_nothing(program: Program, desk: Desk, action: str, body: Any, status: int) -> None:
    is_problem(program.post(f"{ALERT}/{action}", body), status)
    assert desk.history(ALERT) == []


def test_a_body_that_is_no_json_is_malformed(program: Program) -> None:
    path, headers = f"/api/v1/alerts/{ALERT}/ack", program.headers
    for content in (b"{", b"\xff", b"[" * 100_000):
        is_problem(program.client.post(path, content, content_type="application/json", headers=headers), 400)


@pytest.mark.usefixtures("program")
class TestWhoMay:
    def test_nobody_reads_without_a_key_or_a_session(self) -> None:
        for path in ("", f"/{ALERT}", "/stream"):
            answer = visitor().get(f"/api/v1/alerts{path}")
            is_problem(answer, 401)
            assert answer["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("given", ["Bearer ", "Bearer wrong", "Basic YTpi", "x"])
    def test_a_wrong_key_is_refused_even_beside_a_session(self, anna: Client, given: str) -> None:
        is_problem(anna.get("/api/v1/alerts", headers={"Authorization": given}), 401)

    def test_a_key_may_what_its_scopes_say(self) -> None:
        reader = Program("alerts:read")
        assert reader.get("").status_code == 200
        assert "alerts:act" in is_problem(reader.post(f"{ALERT}/ack"), 403)["detail"]
        is_problem(Program("alerts:act").get(""), 403)

    def test_a_revoked_or_expired_key_is_good_for_nothing(self, program: Program) -> None:
        from citywatch.console.models import ApiKey, make_key, revoke_key

        name = ApiKey.objects.order_by("-pk").values_list("name", flat=True)[0]
        assert program.get("").status_code == 200
        revoke_key(name)
        is_problem(program.get(""), 401)
        old = make_key("old", ["alerts:read"], by="anna", expires_at=datetime.now(UTC) - timedelta(seconds=1))
        is_problem(visitor().get("/api/v1/alerts", headers={"Authorization": f"Bearer {old}"}), 401)

    def test_keys_are_kept_as_hashes_only(self, program: Program) -> None:
        secret = program.headers["Authorization"].removeprefix("Bearer ").encode()
        program.get("")
        kept = b"".join(file.read_bytes() for file in site.current().data.glob("console.sqlite*"))
        assert secret not in kept

    def test_a_session_counts_as_its_person(self, anna: Client, desk: Desk) -> None:
        desk.put_facts(table([fact(1)]), now=now_us())
        assert anna.get("/api/v1/alerts").status_code == 200
        assert anna.post(f"/api/v1/alerts/{ALERT}/ack", b"", "application/json").status_code == 200
        assert desk.history(ALERT)[0]["by"] == "anna"

    @pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}])
    def test_a_page_of_another_origin_acts_neither_by_session_nor_by_key(
        self, program: Program, anna: Client, headers: dict[str, str], desk: Desk
    ) -> None:
        is_problem(anna.post(f"/api/v1/alerts/{ALERT}/ack", headers=headers), 403)
        is_problem(program.post(f"{ALERT}/ack", None, **headers), 403)
        assert desk.history(ALERT) == []

    def test_another_host_name_is_refused(self, program: Program) -> None:
        for address in ("/api/v1/alerts", "/healthz", "/metrics"):
            is_problem(visitor().get(address, headers={**program.headers, "host": "evil.example"}), 400)

    def test_only_where_this_machine_alone_is_served_do_senders_need_no_key(self) -> None:
        here, event = site.current(), {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}

        def sent(**headers: str) -> int:
            answer = visitor().post("/api/v1/events", event, "application/cloudevents+json", headers=headers)
            return answer.status_code

        assert sent() == 503  # let in: no engine stands behind this site
        site.install(replace(here, host="192.0.2.7"))
        assert sent(host="127.0.0.1:8000") == 401
        assert sent(host="127.0.0.1:8000", **key("alerts:read")) == 403
        assert sent(host="127.0.0.1:8000", **key("events:write")) == 503
        document = visitor().get("/api/v1/openapi.json").json()
        assert document["paths"]["/api/v1/events"]["post"]["security"] == [{"ApiKey": ["events:write"]}]

    @pytest.mark.parametrize(
        ("rights", "acts", "reveals"),
        [
            ([], 403, 403),
            (["analyst"], 403, 403),
            (["operator"], 200, 403),
            (["reveal"], 403, 200),
            (["admin"], 200, 200),
        ],
    )
    def test_a_person_may_what_their_rights_say(self, desk: Desk, rights: list[str], acts: int, reveals: int) -> None:
        from citywatch.console.access import Right
        from citywatch.console.models import make_link
        from citywatch.console.people import add_person

        desk.put_facts(table([fact(1)]), now=now_us())
        add_person("carla", [Right(right) for right in rights])
        carla = visitor()
        carla.get(f"/sign-in/{make_link('carla', all_rights=False)}")
        assert carla.get("/api/v1/alerts").status_code == 200
        assert carla.post(f"/api/v1/alerts/{ALERT}/ack", b"", "application/json").status_code == acts
        assert carla.post(f"/alerts/{ALERT}/act", {"action": "ack"}).status_code == {200: 302}.get(acts, acts)
        assert carla.get(f"/api/v1/alerts/{ALERT}?purpose=x").status_code == reveals
        assert ("Acknowledge" in carla.get(f"/alerts/{ALERT}").content.decode()) is (acts == 200)

    def test_who_was_removed_is_out_at_once(self) -> None:
        from citywatch.console.models import make_link
        from citywatch.console.people import add_person, remove_person

        add_person("dora", [])
        dora = visitor()
        link = f"/sign-in/{make_link('dora', all_rights=False)}"
        dora.get(f"/sign-in/{make_link('dora', all_rights=False)}")
        assert dora.get("/api/v1/alerts").status_code == 200
        assert remove_person("dora")
        is_problem(dora.get("/api/v1/alerts"), 401)
        assert visitor().get(link).status_code == 403


@pytest.mark.usefixtures("program")
class TestUnmasked:
    def test_needs_the_right(self, desk: Desk) -> None:
        reader = Program("alerts:read", "alerts:act")
        is_problem(reader.get("", purpose="curious"), 403)
        is_problem(reader.get(f"/{ALERT}", purpose="curious"), 403)
        is_problem(reader.get("/stream", purpose="curious"), 403)
        assert desk.audited() == []

    def test_needs_a_purpose(self, program: Program, desk: Desk) -> None:
        for purpose in ("", "  "):
            assert "K1234" not in program.get("", purpose=purpose).content.decode()
        assert desk.audited() == []

    def test_is_recorded_for_each_alert_before_it_is_sent(self, program: Program, desk: Desk) -> None:
        desk.put_facts(table([fact(2)]), now=now_us())
        assert "K1234" in program.get("", purpose="überprüfen").content.decode()
        first, second = desk.audited()
        assert {first["alert"], second["alert"]} == {ALERT, alert_id(2)}
        assert first["who"].startswith("key:")
        assert first["purpose"] == "überprüfen"
        assert len(desk.audited(Asked(subject=("plate", "K1234")))) == 2

    def test_is_refused_to_a_wish_before_anything_is_done(self, desk: Desk) -> None:
        actor = Program("alerts:act")
        path = f"/api/v1/alerts/{ALERT}/ack?{urllib.parse.urlencode({'purpose': 'curious'})}"
        is_problem(actor.client.post(path, b"", "application/json", headers=actor.headers), 403)
        assert desk.history(ALERT) == []


@pytest.mark.usefixtures("program")
class TestDocument:
    def test_it_names_every_door_with_its_scope_and_problems(self) -> None:
        document = visitor().get("/api/v1/openapi.json").json()
        assert document["openapi"] == "3.1.0"
        acting = document["paths"]["/api/v1/alerts/{alert}/close"]["post"]
        assert acting["security"] == [{"ApiKey": ["alerts:act"]}]
        assert set(acting["responses"]) == {"200", "400", "401", "403", "404", "409", "422"}
        assert set(acting["responses"]["409"]["content"]) == {"application/problem+json"}
        operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
        assert len(operations) == len(set(operations))

    def test_an_alert_is_as_it_says(self, program: Program) -> None:
        import jsonschema  # type: ignore[import-untyped]  # ships no types

        document = visitor().get("/api/v1/openapi.json").json()
        schema = {**document["components"]["schemas"]["Alert"], "components": document["components"]}
        jsonschema.validate(program.get(f"/{ALERT}").json(), schema)

    @pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/alerts", "/api", "/polls/x"])
    def test_what_is_not_there_is_a_problem_too(self, path: str) -> None:
        is_problem(visitor().get(path), 404)

    def test_a_wrong_method_names_the_right_ones(self, program: Program) -> None:
        answer = program.client.delete("/api/v1/alerts", headers=program.headers)
        is_problem(answer, 405)
        assert answer["Allow"] == "GET"

    def test_a_fault_is_a_problem_that_tells_nothing(
        self, program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(Desk, "page", lambda *_, **__: 1 / 0)
        program.client.raise_request_exception = False
        problem = is_problem(program.get(""), 500)
        assert "division" not in problem["detail"]
        assert "ZeroDivisionError" in caplog.text
