"""The doors for events at the page's process: who may, what is too large, what the engine answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from citywatch.console import site
from citywatch.stores.desk import Desk

from .conftest import key, visitor


@dataclass
class Asked:
    """A request as the engine would get it, and what it answers."""

    status: int = 202
    content: Mapping[str, Any] = field(default_factory=lambda: {"accepted": 1, "duplicates": 0, "rejected": []})
    requests: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def __call__(
        self, door: str, mapping: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        self.requests.append((door, mapping, headers, body))
        return self.status, self.content


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    content: Any


Ask = Callable[..., Answered]


@pytest.fixture
def engine(desk: Desk) -> Asked:
    asked = Asked()
    site.install(replace(site.current(), door=asked))
    return asked


@pytest.fixture
def ask(engine: Asked) -> Ask:
    """Asks as a server would: the parts of the body one after another."""
    from citywatch.console.doors import Doors

    async def behind(*_: Any) -> None:
        raise AssertionError("this is no door")

    def post(path: str = "/api/v1/events", *parts: bytes, host: str = "127.0.0.1:8000", **said: str) -> Answered:
        headers = {"host": host, **{name.replace("_", "-"): value for name, value in said.items()}}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        bodies = list(parts or (b"{}",))
        sent: list[Any] = []

        async def receive() -> Any:
            part = bodies.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(bodies)}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(Doors(behind)(scope, receive, send))  # type: ignore[arg-type]  # as far as it is looked at
        start, body = sent
        told = {name.decode(): value.decode() for name, value in start["headers"]}
        assert told["content-length"] == str(len(body["body"]))
        return Answered(start["status"], told, json.loads(body["body"]))

    return post


def test_a_body_goes_to_the_engine_with_what_says_what_it_is(ask: Ask, engine: Asked) -> None:
    said = {"content_type": "text/csv", "citywatch_ordinals": "0:1", "ce_id": "1", "cookie": "c=1", "x_other": "1"}
    assert ask("/api/v1/ingest/a%20b", b"a,b\n", b"1,2\n", **said).content == engine.content
    ((door, mapping, headers, body),) = engine.requests
    assert (door, mapping, body) == ("ingest", "a b", b"a,b\n1,2\n")
    assert headers == {"content-type": "text/csv", "citywatch-ordinals": "0:1", "ce-id": "1"}


@pytest.mark.parametrize(
    ("path", "door"),
    [("/api/v1/events", "events"), ("/api/v1/events/", "events"), ("/polls/receive_msg", "receive_msg")],
)
def test_each_door_has_its_address(path: str, door: str, ask: Ask, engine: Asked) -> None:
    assert ask(path).status == 202
    assert [request[0] for request in engine.requests] == [door]


@pytest.mark.parametrize(("status", "retry"), [(429, "1"), (503, "1"), (507, None), (422, None)])
def test_what_the_engine_refuses_is_a_problem(status: int, retry: str | None, ask: Ask, engine: Asked) -> None:
    engine.status, engine.content = status, {"detail": "Not now.", "hint": "later"}
    answer = ask()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == retry
    assert (answer.content["status"], answer.content["detail"]) == (status, "Not now.")
    assert answer.content["hint"] == "later"


def test_a_console_without_an_engine_says_so(ask: Ask) -> None:
    site.install(replace(site.current(), door=None))
    answer = ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "No engine" in answer.content["detail"]


class TestSize:
    def test_a_body_that_says_that_it_is_too_large_is_not_read(self, ask: Ask, engine: Asked) -> None:
        assert ask(content_length=str((16 << 20) + 1)).status == 413
        assert engine.requests == []

    def test_a_body_that_does_not_say_so_is_read_no_further(self, ask: Ask, engine: Asked) -> None:
        answer = ask("/api/v1/events", *[b"x" * (6 << 20)] * 1000)
        assert answer.status == 413
        assert "16 MiB" in answer.content["detail"]
        assert engine.requests == []


class TestAccess:
    @pytest.mark.parametrize(
        "said", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}]
    )
    def test_a_page_of_another_origin_sends_nothing_not_even_with_a_key(
        self, said: dict[str, str], ask: Ask, engine: Asked
    ) -> None:
        assert ask(**said).status == 403
        assert ask(**said, authorization=key("events:write")["Authorization"]).status == 403
        assert engine.requests == []

    def test_another_host_name_is_refused(self, ask: Ask, engine: Asked) -> None:
        assert ask(host="evil.example").status == 400
        assert engine.requests == []

    def test_here_no_key_is_needed_but_one_that_is_shown_has_to_be_good(self, ask: Ask) -> None:
        assert ask().status == 202
        assert ask(authorization="Bearer nope").status == 401
        assert ask(authorization=key("alerts:read")["Authorization"]).status == 403
        assert ask(authorization=key("events:write")["Authorization"]).status == 202

    def test_where_others_can_reach_it_a_key_is_needed(self, ask: Ask, engine: Asked) -> None:
        site.install(replace(site.current(), host="0.0.0.0"))  # noqa: S104 - what the test is about
        answer = ask()
        assert (answer.status, engine.requests) == (401, [])
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert ask(authorization=key("alerts:read")["Authorization"]).status == 403
        assert ask(authorization=key("events:write")["Authorization"]).status == 202


class TestThroughDjango:
    """The same doors where something serves the console without them in front."""

    def test_they_answer_the_same(self, engine: Asked) -> None:
        answer = visitor().post("/api/v1/events", b"{}", content_type="application/cloudevents+json")
        assert (answer.status_code, answer.json()) == (202, engine.content)
        assert visitor().post("/polls/receive_msg", b"{}", content_type="application/json").status_code == 202
        assert engine.requests[0][2]["content-type"] == "application/cloudevents+json"

    def test_a_mapping_can_be_asked_about(self, engine: Asked) -> None:
        engine.status, engine.content = 200, {"mapping": "prestacop", "ids": "content"}
        assert visitor().get("/api/v1/ingest/prestacop").json() == engine.content
        assert engine.requests[0][:2] == ("describe", "prestacop")

    def test_other_methods_are_refused(self, engine: Asked) -> None:
        answer = visitor().put("/api/v1/events", b"{}", content_type="application/json")
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert engine.requests == []
