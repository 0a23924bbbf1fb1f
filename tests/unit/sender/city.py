"""A small citywatch that keeps what it got, and a link to it on which everything goes wrong."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.servers.server import free_port


@dataclass
class City:
    """What a citywatch does with the doors `events` and `ingest/MAPPING`, as the contract says it."""

    ids: str = "content"
    refuse: Callable[[str], str | None] = lambda _: None
    largest: int = 1 << 30
    key: str | None = None
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answers that are given before all others; what they answer is not kept."""
    kept: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], list[str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    keep_bodies: bool = True
    repeated: int = 0
    """Records that were said to be repeated, when bodies are not kept."""
    url: str = ""

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        with self.lock:
            if self.key is not None and headers.get("Authorization") != f"Bearer {self.key}":
                return 401, {}, json.dumps({"title": "No access", "detail": "the API key is not known"}).encode()
            if self.answers:
                return self.answers.pop(0)
            if len(body) > self.largest:
                return 413, {}, b""
            return 202, {}, json.dumps(self._take(path, headers, body)).encode()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        records = body.decode("utf-8").removesuffix("\n").split("\n")
        if not self.keep_bodies:
            self.repeated += len(headers.get("Citywatch-Ordinals", "").split())
            return {"accepted": len(records), "duplicates": 0, "rejected": []}
        if headers["Content-Type"].startswith("text/csv"):
            records = rows(body.decode("utf-8"))[1:]
        self.requests.append((path, headers, records))
        identities = self._identities(path, headers, records)
        told: dict[str, Any] = {"accepted": 0, "duplicates": 0, "rejected": []}
        for index, (identity, record) in enumerate(zip(identities, records, strict=True)):
            if reason := self.refuse(record):
                told["rejected"].append({"index": index, "id": identity, "reason": reason})
            elif identity in self.kept:
                told["duplicates"] += 1
            else:
                self.kept[identity] = record
                told["accepted"] += 1
        return told

    def _identities(self, path: str, headers: dict[str, str], records: list[str]) -> list[str]:
        if path == "/api/v1/events":
            return [json.loads(record, parse_int=float)["id"] for record in records]
        said = dict(pair.split(":") for pair in headers.get("Citywatch-Ordinals", "").split())
        digests = [hashlib.md5(record.strip().encode(), usedforsecurity=False).hexdigest()[:24] for record in records]
        ordinals = [int(said.get(str(index), 0)) for index in range(len(records))]
        return [digest + (f"-{ordinal}" if ordinal else "") for digest, ordinal in zip(digests, ordinals, strict=True)]


def rows(text: str) -> list[str]:
    """Records of a CSV as they are written."""
    records, begun = [], ""
    for line in text.removesuffix("\n").split("\n"):
        begun = f"{begun}\n{line}" if begun else line
        if begun.count('"') % 2 == 0:
            records.append(begun)
            begun = ""
    return [*records, *([begun] if begun else [])]


def kept_rows(text: str) -> list[tuple[int, str, str]]:
    """What stands in a file of kept lines: line, reason, raw."""
    return [(int(row["line"]), row["reason"], row["raw"]) for row in csv.DictReader(io.StringIO(text))]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        pass

    def body(self) -> bytes | None:
        """None when it did not come whole."""
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        return body if len(body) == size else None

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what these tests are about."""


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = _Quiet(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def open_city(opened: City | None = None) -> Iterator[City]:
    """A city that listens at `url`."""
    city = opened or City()

    class Handler(_Handler):
        def do_GET(self) -> None:
            told = {"mapping": self.path.rsplit("/", 1)[1], "ids": city.ids}
            self.reply(200 if city.ids else 405, {}, json.dumps(told).encode() if city.ids else b"")

        def do_POST(self) -> None:
            body = self.body()
            if body is not None:
                self.reply(*city.answer(self.path, dict(self.headers), body))

    with serving(Handler) as url:
        city.url = url
        yield city


FAULTS = (
    "refuse", "cut request", "stall", "429", "429 at once", "500", "503", "lose the answer", "cut the answer",
    "answer late", "early hints",
)  # fmt: skip


@contextlib.contextmanager
def bad_link(city: City, fault: Callable[[], str], *, stall: float = 1.0) -> Iterator[str]:
    """A proxy before `city`; what it does to a request is what `fault` says, nothing when that is empty.

    `stall` is in seconds: of a "stall" before it hangs up, of "answer late" before it says what the city said at once.
    """

    class Handler(_Handler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body, now = self.body() or b"", fault()
            self.close_connection = now not in ("", "429", "429 at once", "500", "503", "early hints")
            if now == "stall":
                time.sleep(stall)
            elif now.startswith("429"):
                self.reply(429, {"Retry-After": "0"} if "once" in now else {}, b"{}")
            elif now in ("500", "503"):
                self.reply(int(now), {}, b"<html>")
            elif now == "cut request":
                self._forward(body, len(body) // 2)
            elif now != "refuse":
                status, told = self._forward(body, len(body))
                time.sleep(stall if now == "answer late" else 0)
                self._answer(now, status, told)

        def _forward(self, body: bytes, size: int) -> tuple[int, bytes]:
            upstream = http.client.HTTPConnection(city.url.removeprefix("http://"), timeout=10)
            try:
                upstream.putrequest(self.command, self.path, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name != "Host":
                        upstream.putheader(name, value)
                upstream.endheaders(body[:size])
                if size < len(body):
                    return 0, b""
                response = upstream.getresponse()
                return response.status, response.read()
            finally:
                upstream.close()

        def _answer(self, now: str, status: int, body: bytes) -> None:
            if now == "lose the answer":
                return
            if now == "cut the answer":
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                return
            if now == "early hints":
                self.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            self.reply(status, {}, body)

    with serving(Handler) as url:
        yield url


def closed_port() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
