"""Servers that receive what is delivered, and misbehave when a test says so."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from deploy.servers.server import free_port

PATIENCE = 60.0

LOCAL = "127.0.0.0/8"

HINTS = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
"""Informational answers, as any number of them may come before the answer."""


def until(true: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds; fails when it does not."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come to be within {PATIENCE:g} s"
        time.sleep(0.01)


@dataclass
class Request:
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Web:
    """An HTTP server. `answer` decides what each request gets: a status, with headers or without, or how to misbehave.

    `hang`: says nothing until the server ends. `drip`: sends a header without end. `cut`: closes at once.
    `noise`: sends what is no HTTP. `hints`: says without end that an answer will come.
    """

    answer: Callable[[Request], int | tuple[int, dict[str, str]] | str] = lambda _: 204
    certificate: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    before: bytes = b""
    """What is sent before each answer."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}/hook"

    @property
    def keys(self) -> list[str]:
        return [request.key for request in self.requests]

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        if self.certificate:
            self._server.socket = self.certificate.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def end(self) -> None:
        self._over.set()
        self.stop()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the sender was killed in the middle of it
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                web.requests.append(request)
                web._reply(self, web.answer(request))

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def _reply(self, handler: http.server.BaseHTTPRequestHandler, answer: Any) -> None:
        if answer == "hang":
            self._over.wait(PATIENCE)
        elif answer == "drip":
            self._drip(handler, b"HTTP/1.1 200 OK\r\nX: ", b"x")
        elif answer == "hints":
            self._drip(handler, b"", HINTS)
        elif answer == "cut":
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif answer == "noise":
            handler.wfile.write(b"\x1b[2J noise\x00\r\n\r\n")
        if isinstance(answer, str):
            handler.close_connection = True
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        handler.wfile.write(self.before)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _drip(self, handler: http.server.BaseHTTPRequestHandler, begin: bytes, more: bytes) -> None:
        try:
            handler.wfile.write(begin)
            while not self._over.wait(0.02):
                handler.wfile.write(more)
        except OSError:
            return


@contextmanager
def web(answer: Callable[[Request], Any] = lambda _: 204, certificate: ssl.SSLContext | None = None) -> Iterator[Web]:
    """An HTTP server for the time of a test."""
    server = Web(answer, certificate)
    try:
        yield server
    finally:
        server.end()


@dataclass
class Mailbox:
    """A mail server. `reply` decides what each message is answered, `refused` addresses are not taken."""

    reply: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.reply is not None:
            return self.reply
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.to += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@contextmanager
def mail(box: Mailbox, *, certificate: ssl.SSLContext | None = None, password: str | None = None) -> Iterator[int]:
    """A mail server for the time of a test; its port. With a certificate it wants STARTTLS first."""

    def sign_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        fine = isinstance(data, LoginPassword) and data.password.decode() == password
        if fine:
            box.users.append(data.login.decode())
        return AuthResult(success=fine, handled=False)

    more: dict[str, Any] = {"tls_context": certificate, "require_starttls": True} if certificate else {}
    if password is not None:
        more |= {"authenticator": sign_in, "auth_required": True, "auth_require_tls": certificate is not None}
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=PATIENCE, **more)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop(no_assert=True)


def silent() -> socket.socket:
    """A server that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen(16)
    return listener
