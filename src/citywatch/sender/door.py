"""The HTTP door of a citywatch: one connection, answers told apart by what to do next."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import socket
import ssl
import time
import urllib.parse
import urllib.request
from typing import Any, NamedTuple, Protocol

from .problems import SendError, WrongUsageError

_PASSING = frozenset((408, 425, 429))
_LASTING = frozenset((501, 505))
_LONGEST_ANSWER = 4 << 20
_LONGEST_WAIT = 24 * 3600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Answer(NamedTuple):
    """What was acknowledged: counts of events, and (index, reason) of the records that were refused."""

    accepted: int
    duplicates: int
    rejected: list[tuple[int, str]]


class UnreachableError(Exception):
    """No answer, or one that asks for patience; `wait` is how many seconds it asks for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class NotOursError(UnreachableError):
    """Something answered with success that is no citywatch, or a proxy that cut the answer."""


class TooLargeError(Exception):
    """413: the batch has to be smaller."""


class RefusedError(SendError):
    """An answer that will be the same next time."""


class Receiver(Protocol):
    """What the sender needs of the place that records are sent to; `Door` says more."""

    @property
    def tells_the_key(self) -> bool:
        """Whether the key would travel where others can read it."""

    def counts(self, mapping: str) -> bool:
        """Whether identical records of a mapping have to be counted."""

    def post(self, path: str, body: bytes, headers: dict[str, str], records: int) -> Answer:
        """The acknowledgement of a batch."""

    def close(self) -> None:
        """Hang up."""


class Door:
    """Where records are sent to.

    Parameters
    ----------
    url
        Address of the citywatch, as `http://city.example:8000`.
    key
        API key, or nothing.
    timeout
        Seconds without a byte after which the link counts as down.
    """

    def __init__(self, url: str, key: str = "", timeout: float = 60.0, version: str = "0") -> None:
        parts = _address(url)
        self.secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self.secure else 80)
        self._base = parts.path
        self._netloc = parts.netloc
        self._timeout = timeout
        self._headers = {"Accept": "application/json", "User-Agent": "citywatch-send/" + version}
        if key:
            self._headers["Authorization"] = "Bearer " + key
        self._proxy = _proxy(parts.scheme, self._host, parts.netloc)
        self._connection: http.client.HTTPConnection | None = None

    @property
    def tells_the_key(self) -> bool:
        """Whether the key would travel where others can read it."""
        return "Authorization" in self._headers and not self.secure and self._host not in _LOOPBACK

    def counts(self, mapping: str) -> bool:
        """Whether records of a mapping get their ids from their content, so that identical ones have to be counted.

        True as well when the door does not say. Raises UnreachableError.
        """
        path = "/api/v1/ingest/" + urllib.parse.quote(mapping, safe="")
        status, heard, body = self._exchange("GET", path, b"", {})
        if _passes(status):
            raise UnreachableError(_problem(status, body), _retry_after(heard))
        told = _json(body) if status == 200 else None
        return not (isinstance(told, dict) and told.get("ids") == "natural")

    def post(self, path: str, body: bytes, headers: dict[str, str], records: int) -> Answer:
        """The acknowledgement of a batch of `records`. Raises UnreachableError, TooLargeError or RefusedError."""
        status, heard, text = self._exchange("POST", path, body, headers)
        if 200 <= status < 300:  # whatever a proxy makes of a success: the acknowledgement is what the body says
            return _answer(status, text, records)
        if status == 413:
            raise TooLargeError
        problem = _problem(status, text)
        if _passes(status):
            raise UnreachableError(problem, _retry_after(heard))
        if 300 <= status < 400:
            hint = "use that address"
            raise RefusedError(f"{self._netloc} has moved to {heard.get('Location', 'elsewhere')}", hint)
        raise RefusedError(f"{self._netloc} answered {problem}", _HINTS.get(status, ""))

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        target = self._base + path
        if self._proxy and not self.secure:
            target = f"http://{self._netloc}{target}"
        try:
            connection = self._connection or self._connect()
            # Who refuses a large body hangs up while it comes: the reason can be read all the same.
            with contextlib.suppress(ConnectionError):
                connection.request(method, target, body or None, dict(self._headers, **headers))
            response = connection.getresponse()
            text = response.read(_LONGEST_ANSWER)
            if response.will_close or not response.isclosed():
                self.close()
        except ssl.SSLCertVerificationError as error:
            self.close()
            hint = f"the certificate of {self._host} is not trusted; SSL_CERT_FILE names others"
            raise RefusedError(str(error.verify_message), hint) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(_why(error)) from error
        except BaseException:
            self.close()
            raise
        return response.status, response.headers, text

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._proxy or (self._host, self._port)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=self._timeout)
            if self.secure
            else http.client.HTTPConnection(host, port, timeout=self._timeout)
        )
        if self._proxy and self.secure:
            connection.set_tunnel(self._host, self._port)
        connection.response_class = _FinalAnswer
        connection.connect()
        self._connection = connection
        return connection


class _FinalAnswer(http.client.HTTPResponse):
    """The answer itself: any number of informational ones (1xx) may come before it (RFC 9110, 15.2)."""

    def begin(self) -> None:
        """Read up to the contents; after 101 there would be another protocol, for which nobody asked."""
        super().begin()
        while 100 <= self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment] # so it is before anything is read
            super().begin()


_HINTS = {
    400: "look at --mapping and at the first lines of the file",
    401: "an API key is needed: --key-file FILE, or CITYWATCH_KEY",
    403: "the API key may not write events",
    404: "look at --to and --mapping",
    405: "look at --to",
    415: "look at --mapping: it may not read this format",
    421: "the server does not know itself by this name",
    422: "look at --mapping and at the first lines of the file",
}


def _address(url: str) -> urllib.parse.SplitResult:
    """The parts of an address, its path without what the doors add. Raises WrongUsageError."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise WrongUsageError(f"{url!r} is no address", "write it like http://city.example:8000")
    if parts.username is not None:
        raise WrongUsageError("an address must not hold a password", "use --key-file")
    path = parts.path.rstrip("/")
    return parts._replace(path=path[: -len("/api/v1")] if path.endswith("/api/v1") else path)


def _proxy(scheme: str, host: str, netloc: str) -> tuple[str, int] | None:
    """Host and port of the proxy that the system names for this address, if any."""
    named = urllib.request.getproxies().get(scheme)
    if not named or host in _LOOPBACK or urllib.request.proxy_bypass(netloc):
        return None
    parts = urllib.parse.urlsplit(named if "//" in named else "//" + named)
    return (parts.hostname, parts.port or 80) if parts.hostname else None


def _passes(status: int) -> bool:
    """Whether the same request may be answered otherwise later."""
    return status in _PASSING or (status >= 500 and status not in _LASTING)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _answer(status: int, text: bytes, records: int) -> Answer:
    """The acknowledgement, when it is one and speaks of every record. Raises NotOursError."""
    told = _json(text)
    try:
        counts = (told["accepted"], told["duplicates"])
        rejected = [(item["index"], str(item.get("reason") or "rejected")) for item in told["rejected"]]
    except (TypeError, KeyError, AttributeError):
        raise NotOursError(
            f"the answer ({_problem(status, text)}) is not that of a citywatch, or was cut off"
        ) from None
    numbers = [*counts, *(index for index, _ in rejected)]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise NotOursError("the answer is not that of a citywatch")
    if sum(counts) + len(rejected) < records or any(index >= records for index, _ in rejected):
        raise NotOursError("the answer does not speak of all lines that were sent")
    return Answer(counts[0], counts[1], rejected)


def _problem(status: int, text: bytes) -> str:
    """A problem detail (RFC 9457) in a line."""
    told = _json(text)
    said = [str(told[key]) for key in ("title", "detail") if told.get(key)] if isinstance(told, dict) else []
    name = http.client.responses.get(status, "")
    return "{} {}".format(status, ": ".join(said) or name).strip()[:500]


def _retry_after(headers: http.client.HTTPMessage) -> float | None:
    """Seconds that an answer asks to wait, as it says it: a number or a date."""
    text = (headers.get("Retry-After") or "").strip()
    if not text:
        return None
    if text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _why(error: Exception) -> str:
    """A broken link in a few words."""
    if isinstance(error, socket.timeout):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the name of the server is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
