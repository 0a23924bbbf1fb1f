"""One HTTP request: to a judged address, without redirects, and over within a bound whatever the other side does."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from citywatch import __version__
from citywatch.errors import DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.notify.address import Network, resolve
from citywatch.notify.message import one_line
from citywatch.notify.options import check_url

ANSWER_READ = 2_000
"""Bytes of an answer's body that are looked at."""

LONGEST_WAIT = 3600.0
"""Seconds that a receiver may ask us to wait."""

_AGAIN = (408, 425, 429)
_NOT_THIS = (400, 406, 409, 411, 412, 413, 414, 415, 422, 431)


@dataclass(frozen=True, slots=True)
class Door:
    """How to reach a server: networks allowed beside the public ones, own authorities, seconds at most."""

    allow: tuple[Network, ...] = ()
    ca_file: Path | None = None
    timeout: float = 10.0


class FinalAnswer(http.client.HTTPResponse):
    """The answer itself: any number of informational ones (1xx) may come before it (RFC 9110, 15.2)."""

    def begin(self) -> None:
        """Read up to the contents; after 101 there would be another protocol, for which nobody asked."""
        super().begin()
        while 100 <= self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment] # so it is before anything is read
            super().begin()


def send(url: str, *, method: str = "POST", body: bytes = b"", headers: Mapping[str, str], door: Door) -> str:
    """Make one request; returns what was answered, in words.

    Raises DeliveryError, MessageRefusedError, TargetRefusedError by what the answer means.
    """
    try:
        parts = urlsplit(check_url(url))
    except ValueError as error:
        raise TargetRefusedError(str(error)) from error
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    context = tls(door.ca_file) if parts.scheme == "https" else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    told = {"Host": parts.netloc, "User-Agent": f"citywatch/{__version__}", "Connection": "close", **headers}
    try:
        with connected(host, port, door, context) as sock:
            connection = http.client.HTTPConnection(host, port)
            connection.sock = sock
            connection.response_class = FinalAnswer
            connection.request(method, target, body, told)
            return _judged(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise failed(host, error) from error


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """TLS as clients should speak it; raises TargetRefusedError when the file of authorities cannot be used."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise TargetRefusedError(f"{ca_file} holds no certificates: {error}") from error


def failed(host: str, error: Exception) -> DeliveryError:
    """What a failed connection means."""
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return TargetRefusedError(f"the certificate of {host} is not trusted: {error.verify_message}")
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DeliveryError(f"{host} did not answer: {_printable(why)}")  # it may quote what came instead of an answer


@contextmanager
def connected(host: str, port: int, door: Door, context: ssl.SSLContext | None = None) -> Iterator[socket.socket]:
    """A connection to a judged address of the host. It is cut when the time of the door is over, also in mid-answer."""
    deadline = time.monotonic() + door.timeout
    sock = _first_that_answers(resolve(host, port, door.allow), port, deadline)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    with sock, cut_after(lambda: sock, max(deadline - time.monotonic(), 0.001)):
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        yield sock


def _first_that_answers(addresses: list[tuple[socket.AddressFamily, str]], port: int, deadline: float) -> socket.socket:
    failure: OSError = TimeoutError("no time was left")
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            sock.connect((address, port))
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


@contextmanager
def cut_after(current: Callable[[], socket.socket | None], seconds: float) -> Iterator[None]:
    """Shut a connection when the time is over: timeouts of sockets begin anew with each byte that drips in."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        if (sock := current()) is None:
            return
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS too: what reads from it is in another thread
        except OSError:
            return  # it has ended by itself

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if over.is_set():
            raise TimeoutError("it took too long") from error
        raise
    finally:
        timer.cancel()
    if over.is_set():  # what was cut off may look like an end
        raise TimeoutError("it took too long")


def _judged(answer: http.client.HTTPResponse) -> str:
    code = answer.status
    if 200 <= code < 300:
        return f"answered {code}"
    words = _words(answer)
    if code in _AGAIN or code >= 500:
        raise DeliveryError(words, retry_after=_retry_after(answer.getheader("Retry-After")))
    if code in _NOT_THIS:
        raise MessageRefusedError(words)
    if 300 <= code < 400:
        to = _printable(answer.getheader("Location") or "")
        raise TargetRefusedError(f"{words}; redirects are not followed", hint=f"write the new address: {to}")
    raise TargetRefusedError(words)


def _words(answer: http.client.HTTPResponse) -> str:
    body = _printable(answer.read(ANSWER_READ).decode("utf-8", "replace"))
    return f"answered {answer.status} {_printable(answer.reason)}" + (f": {body}" if body else "")


def _printable(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= 200 else shown[:199] + "…"


def _retry_after(text: str | None) -> float | None:
    """Seconds that the answer asks to wait: a number, or a date."""
    if not text:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else _until(text)
    except (ValueError, OverflowError):
        return None  # it says something that is neither
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
