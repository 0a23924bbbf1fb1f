"""Between the page's process and the engine's: every request has its answer, whoever comes, stays or goes."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from citywatch.errors import CapacityError, DiskFullError, MappingError, StoreError, TooLargeError
from citywatch.records.chunk import Chunk, Origin, Outcome
from citywatch.sources.http import bodies, listening, reception, wire
from citywatch.sources.http.calling import Engine
from citywatch.sources.http.listening import Listening
from citywatch.sources.http.reception import Reception
from citywatch.sources.http.wire import Answer, Meeting, Request, meet

EVENT = b'{"specversion":"1.0","id":"1","source":"s","type":"t"}'
LINES = {"content-type": "application/x-ndjson"}


async def echo(request: Request) -> Answer:
    """Answers with what it was asked, the later ones first."""
    await asyncio.sleep(0.1 / int(request.mapping))
    return Answer(202, {"door": request.door, "said": dict(request.headers), "size": len(request.body)})


def asked(data: Path, *requests: Request) -> list[Answer]:
    async def ask() -> list[Answer]:
        engine = Engine(data)
        return await asyncio.gather(*(engine.ask(request) for request in requests))

    return asyncio.run(ask())


def test_many_requests_wait_on_one_connection_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    with Listening(tmp_path, echo):
        answers = asked(tmp_path, *(Request(f"d{n}", str(n), {"ce-id": "é"}, b"x" * n * 1000) for n in range(1, 30)))
    expected = [Answer(202, {"door": f"d{n}", "said": {"ce-id": "é"}, "size": n * 1000}) for n in range(1, 30)]
    assert answers == expected


def test_a_large_body_passes(tmp_path: Path) -> None:
    with Listening(tmp_path, echo):
        (answer,) = asked(tmp_path, Request("events", "9", {}, b"x" * wire.LARGEST))
    assert answer.content["size"] == wire.LARGEST


def test_the_answer_to_a_request_of_which_all_is_refused_passes(tmp_path: Path) -> None:
    refusals = [{"index": n, "id": str(n), "reason": "r" * 100} for n in range(bodies.MOST)]

    async def refuse(_: Request) -> Answer:
        return Answer(202, {"rejected": refusals})

    with Listening(tmp_path, refuse):
        assert asked(tmp_path, Request("events")) == [Answer(202, {"rejected": refusals})]


def test_only_the_owner_reads_where_it_is_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with Listening(tmp_path, echo):
        for name in ("door.json", "door.sock"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket_is_a_port_of_this_machine(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 100)
    data.mkdir()
    with Listening(data, echo):
        meeting = Meeting.read(data)
        assert meeting is not None
        assert (meeting.path, meeting.port > 0) == ("", True)
        assert asked(data, Request("events", "9"))[0].status == 202


def test_who_does_not_know_the_secret_is_not_heard(tmp_path: Path) -> None:
    heard: list[Request] = []

    async def answer(request: Request) -> Answer:
        heard.append(request)
        return Answer(202, {})

    with Listening(tmp_path, answer), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "door.sock"))
        caller.sendall(b"a guess\n" + wire.frame(1, ["events", "", {}]))
        assert caller.recv(1000) == b""
    assert heard == []


@pytest.mark.parametrize("nonsense", [b"\xff" * 100, b"\0\0\0\2\0\0\0\0{}", b"\0\0\0\4\0\0\0\0nope", b"\0"])
def test_nonsense_ends_a_connection_and_nothing_else(nonsense: bytes, tmp_path: Path) -> None:
    with Listening(tmp_path, echo), socket.socket(socket.AF_UNIX) as caller:
        meeting = Meeting.read(tmp_path)
        assert meeting is not None
        caller.connect(meeting.path)
        caller.sendall(meeting.secret.encode() + b"\n" + nonsense)
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1000) == b""
        assert asked(tmp_path, Request("events", "9"))[0].status == 202


@pytest.mark.parametrize("left", ["nothing", "an address", "half an address", "an address and a socket"])
def test_without_an_engine_the_answer_is_to_come_again(left: str, tmp_path: Path) -> None:
    if left != "nothing":
        listener, meeting = meet(tmp_path)
        listener.close()  # as a kill leaves it
        assert meeting.path
        if left == "half an address":
            (tmp_path / "door.json").write_text("{")
        if left == "an address":
            (tmp_path / "door.sock").unlink()
    (answer,) = asked(tmp_path, Request("events"))
    assert answer.status == 503
    assert "No engine" in answer.content["detail"]
    with Listening(tmp_path, echo):
        assert asked(tmp_path, Request("events", "9"))[0].status == 202


def test_an_engine_that_goes_answers_what_it_can_and_another_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 2.0)
    asked: list[str] = []

    async def slow(request: Request) -> Answer:
        asked.append(request.door)
        while (tmp_path / "door.json").exists() or request.door == "late":  # it is there until the engine goes
            await asyncio.sleep(0.01)
        return Answer(202, {})

    async def through_a_restart() -> list[int]:
        engine = Engine(tmp_path)
        first = Listening(tmp_path, slow).__enter__()
        waiting = [asyncio.ensure_future(engine.ask(Request(door))) for door in ("soon", "late")]
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(first.__exit__, None, None, None)
        statuses = [(await answer).status for answer in waiting]
        with Listening(tmp_path, echo):
            return [*statuses, (await engine.ask(Request("events", "9"))).status]

    assert asyncio.run(through_a_restart()) == [202, 503, 202]


class TestReception:
    @staticmethod
    def of(enter: Callable[[Chunk], Future[Outcome]], **mappings: bool) -> Callable[..., Answer]:
        def ask(door: str, mapping: str = "", body: bytes = EVENT, **said: str) -> Answer:
            doors = Reception({"prestacop": True, **mappings}, enter)
            answering: Awaitable[Answer] = doors.answer(Request(door, mapping, said or LINES, body))
            return asyncio.run(answering)  # type: ignore[arg-type]  # it is a coroutine

        return ask

    @staticmethod
    def outcome(told: Outcome | BaseException) -> Callable[[Chunk], Future[Outcome]]:
        def enter(_: Chunk) -> Future[Outcome]:
            future: Future[Outcome] = Future()
            future.set_exception(told) if isinstance(told, BaseException) else future.set_result(told)
            return future

        return enter

    def test_an_outcome_is_an_answer_with_the_refused_in_their_order(self) -> None:
        told = Outcome(1, 2, ((3, "c"), (0, "a"), (0, "b")))
        body = b'{"id":"7"}\n{"id":7}\nnone\n["id"]'
        content = self.of(self.outcome(told))("events", body=body).content
        assert (content["accepted"], content["duplicates"]) == (1, 2)
        assert content["rejected"] == [
            {"index": 0, "id": "7", "reason": "a"},
            {"index": 0, "id": "7", "reason": "b"},
            {"index": 3, "id": None, "reason": "c"},
        ]

    def test_a_large_body_is_cut_where_it_holds_up_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inside: list[bool] = []

        def cut(headers: Mapping[str, str], body: bytes, origin: Origin) -> Chunk:
            inside.append(threading.current_thread() is threading.main_thread())
            return bodies.events(headers, body, origin)

        monkeypatch.setattr(reception, "events", cut)
        ask = self.of(self.outcome(Outcome(1, 0)))
        assert [ask("events", body=EVENT + b" " * size).status for size in (0, reception.LARGE)] == [202, 202]
        assert ask("events", body=gzip.compress(EVENT), **LINES, **{"content-encoding": "gzip"}).status == 202
        assert inside == [True, False, False]

    def test_an_id_that_no_answer_can_hold_is_none(self) -> None:
        told = Outcome(0, 0, ((0, "a"), (1, "b"), (1, "c")))
        content = self.of(self.outcome(told))("events", body=b'{"id":"\\ud800"}\n{"id":"8"}').content
        assert [(one["index"], one["id"]) for one in content["rejected"]] == [(0, None), (1, "8"), (1, "8")]

    def test_a_request_of_more_records_than_an_answer_names_is_refused(self) -> None:
        ask = self.of(self.outcome(Outcome(0, 0)))
        assert ask("events", body=b"0\n" * bodies.MOST).status == 202
        for door, mapping in (("events", ""), ("ingest", "prestacop"), ("receive_msg", "")):
            array = door == "receive_msg"
            body = b"[" + b"0," * bodies.MOST + b"0]" if array else b"0\n" * (bodies.MOST + 1)
            said = {"content-type": "application/json"} if array else LINES
            assert ask(door, mapping, body, **said).status == 413

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (CapacityError("too much", hint="later"), 429),
            (DiskFullError("no room"), 507),
            (MappingError("no such column"), 422),
            (TooLargeError("more than memory holds"), 413),
            (StoreError("locked"), 503),
            (RuntimeError("a fault of ours"), 500),
        ],
    )
    def test_errors_have_their_status(self, error: Exception, status: int, caplog: pytest.LogCaptureFixture) -> None:
        def refuse(_: Chunk) -> Future[Outcome]:
            raise error

        for enter in (refuse, self.outcome(error)):
            answer = self.of(enter)("events")
            assert answer.status == status
            assert answer.content["detail"]
        assert ("a fault of ours" in caplog.text) is (status == 500)

    def test_a_mapping_is_described_and_an_unknown_one_is_not_found(self) -> None:
        ask = self.of(self.outcome(Outcome(0, 0)), **{"nyc-tickets": False})
        ids = {name: ask("describe", name).content["ids"] for name in ("prestacop", "nyc-tickets", "cloudevents")}
        assert ids == {"prestacop": "content", "nyc-tickets": "natural", "cloudevents": "natural"}
        for door in ("describe", "ingest"):
            assert ask(door, "nope").status == 404

    def test_ordinals_that_are_none_are_refused_also_where_nothing_is_counted(self) -> None:
        ask = self.of(self.outcome(Outcome(1, 0)), **{"nyc-tickets": False})
        for mapping in ("nyc-tickets", "prestacop"):
            said = [ask("ingest", mapping, **LINES, **{"citywatch-ordinals": text}) for text in ("{}", "0:1")]
            assert [answer.status for answer in said] == [400, 202]

    def test_records_are_of_now_and_named_by_their_door(self) -> None:
        entered: list[Chunk] = []

        def enter(chunk: Chunk) -> Future[Outcome]:
            entered.append(chunk)
            return self.outcome(Outcome(1, 0))(chunk)

        ask = self.of(enter)
        for door, mapping in (("events", ""), ("ingest", "prestacop"), ("receive_msg", "")):
            assert ask(door, mapping).status == 202
        assert [(chunk.origin.name, chunk.mapping) for chunk in entered] == [
            ("http/events", "cloudevents"),
            ("http/prestacop", "prestacop"),
            ("http/prestacop", "prestacop"),
        ]
        assert not any(chunk.origin.replay for chunk in entered)
        assert [chunk.ordinals is None for chunk in entered] == [True, False, False]


def test_what_is_written_is_a_frame_that_can_be_read_back() -> None:
    async def back(content: bytes) -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(content)
        reader.feed_eof()
        return [await wire.read_frame(reader) for _ in range(2)]

    assert asyncio.run(back(wire.frame(7, {"a": "é"}, b"\0\n"))) == [(7, {"a": "é"}, b"\0\n"), None]
    assert asyncio.run(back(wire.frame(7, [])[:-1])) == [None, None]
    assert json.loads(json.dumps(wire.Meeting("p", 1, "s")._asdict()))["secret"] == "s"
