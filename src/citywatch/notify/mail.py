"""E-mail, one message a receiver, in plain text and HTML."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from html import escape
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from citywatch.delivery import Follow
from citywatch.errors import DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.notify.http import cut_after, failed, tls
from citywatch.notify.message import Alert, Message, headline, one_line, state_in_words
from citywatch.notify.options import DURATION, PATH, SECRET, TEXT, TEXTS, Option, choice
from citywatch.notify.secret import Secret
from citywatch.settings import SECOND
from citywatch.wording import clock_time, place_in_words

_PORTS = {"starttls": 587, "tls": 465, "none": 25}

LISTED = 20
"""So many alerts stand in a digest."""


class _Identifiers(UnstructuredHeader, BaseHeader):
    """Ids of messages, one a line: Python encodes long ones as words, and no mailbox knows the message by them."""

    def fold(self, *, policy: EmailPolicy) -> str:  # type: ignore[override] # typeshed has Policy, mail has this one
        return f"{self.name}: " + f"{policy.linesep} ".join(self.split()) + policy.linesep


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("in-reply-to", _Identifiers)
_HEADERS.map_to_type("references", _Identifiers)

_POLICY = EmailPolicy(header_factory=_HEADERS)


class Mail:
    """Sends by SMTP, in plain text and HTML.

    The message's id stays the same when it is sent again, so that mailboxes know it. What a route that follows tells
    of an alert later is an answer to its first message, so that mailboxes show them together.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("server", TEXT, "mail server, `host` or `host:port`"),
        Option("from", TEXT, "address of the sender", argument="sender"),
        Option("to", TEXTS, "addresses; each is a receiver of its own, `NAME/ADDRESS`"),
        Option(
            "security",
            choice(*_PORTS),
            "how the connection is encrypted; `none` for a server on this machine",
            "starttls",
        ),
        Option("user", TEXT, "name to sign in with", None),
        Option("password", SECRET, "its password", None),
        Option("ca_file", PATH, "certificates of own authorities, PEM; default: those of the system", None),
        Option("timeout", DURATION, "a conversation that takes longer has failed", 30 * SECOND),
    )
    RATE = "10/10m"
    BUNDLE = 1
    FOLLOWS = Follow.NOTHING
    TOGETHER = True
    EACH = "to"

    def __init__(
        self,
        *,
        server: str,
        sender: str,
        to: str,
        security: str,
        user: str | None,
        password: Secret | None,
        ca_file: Path | None,
        timeout: int,
    ) -> None:
        self._host, self._port = server_of(server, _PORTS[security])
        self._from, self._to = sender, to
        self._security, self._user, self._password = security, user, password
        self._ca_file = ca_file
        self._timeout = timeout / SECOND

    def send(self, message: Message) -> str:
        """Send it; see `citywatch.notify.Notifier`."""
        mail = written(message, self._from, self._to)
        taken = False
        try:
            with self._conversation() as smtp:
                smtp.send_message(mail, self._from, [self._to])
                taken = True
        except (OSError, smtplib.SMTPException, ValueError) as error:
            if not taken:  # how a server says goodbye makes no second mail
                raise _meaning(self._host, error) from error
        return f"{self._host} took it for {self._to}"

    @contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        context = tls(self._ca_file)
        with self._connection(context) as smtp, cut_after(lambda: smtp.sock, self._timeout):
            if self._security == "starttls":
                smtp.starttls(context=context)
            if self._user is not None:
                smtp.login(self._user, self._password.read() if self._password else "")
            yield smtp

    def _connection(self, context: ssl.SSLContext) -> smtplib.SMTP:
        own = socket.gethostname()  # not looked up in the DNS, which may hang
        if self._security == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, own, timeout=self._timeout, context=context)
        return smtplib.SMTP(self._host, self._port, own, timeout=self._timeout)


def written(message: Message, sender: str, to: str) -> EmailMessage:
    """The message as a mail."""
    mail = EmailMessage(_POLICY)
    mail["Subject"] = _short(headline(message))
    mail["From"], mail["To"] = sender, to
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at // SECOND, UTC))
    mail["Message-ID"] = f"<{message.key}@{_domain(sender)}>"
    if message.earlier:
        mail["In-Reply-To"] = f"<{message.earlier[-1][0]}@{_domain(sender)}>"
        mail["References"] = " ".join(f"<{key}@{_domain(sender)}>" for key, _ in message.earlier)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Citywatch-Kind"] = "test" if message.test else message.kind
    mail.set_content("\n".join(_text(message)))
    mail.add_alternative("\n".join(_html(message)), subtype="html")
    return mail


def _text(message: Message) -> Iterator[str]:
    yield headline(message)
    for alert in message.alerts[:LISTED]:
        yield ""
        yield from (f"{name}: {words}" for name, words in _facts(alert, message))
    yield from ("", *_more(message))


def _html(message: Message) -> Iterator[str]:
    yield f"<!doctype html><meta charset=utf-8><title>{escape(headline(message))}</title>"
    yield f"<h1 style='font-size:1.2em'>{escape(headline(message))}</h1>"
    for alert in message.alerts[:LISTED]:
        rows = (f"<tr><th align=left>{name}<td>{_linked(words)}" for name, words in _facts(alert, message))
        yield f"<table cellpadding=3>{''.join(rows)}</table><hr>"
    yield from (f"<p>{_linked(line)}</p>" for line in _more(message))


def _facts(alert: Alert, message: Message) -> Iterator[tuple[str, str]]:
    facts = {
        "What": f"{alert['title']} ({alert['level']})",
        "Why": alert["reason"],
        "Where": place_in_words(alert),
        "First seen": f"{clock_time(alert['first_seen'], message.zone)} ({message.zone})",
        "Matches": str(alert["count"]) if alert["count"] > 1 else None,
        "State": state_in_words(alert) if alert["state"] != "open" else None,
        "What to do": message.runbooks.get(alert["rule"]) if message.single else None,
        "Alert": message.link(alert) or alert["id"][:12],
    }
    yield from ((name, one_line(str(words))) for name, words in facts.items() if words)


def _more(message: Message) -> Iterator[str]:
    if (hidden := message.total - min(len(message.alerts), LISTED)) > 0:
        yield f"{hidden:,} of the {message.total:,} alerts are not listed here: `citywatch alerts list` has them all."
    if message.page and not message.single:
        yield message.page
    yield "Sent by citywatch. Plates, names and faces are shown only where a route says so."


def _linked(words: str) -> str:
    shown = escape(words)
    return f"<a href='{shown}'>{shown}</a>" if words.startswith(("http://", "https://")) else shown


def _short(text: str) -> str:
    """Not longer than mailboxes show."""
    return text if len(text) <= 150 else text[:149] + "…"


def _domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2] or "citywatch.invalid"


def server_of(text: str, port: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[::1]:port`; raises ValueError."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.query or parts.username:
        raise ValueError(f"{text!r} is no server: write mail.example.org or mail.example.org:587")
    return parts.hostname, parts.port or port


def _meaning(host: str, error: Exception) -> DeliveryError:
    """What went wrong, in our words: a code of 500 or more is for good (RFC 5321)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return _by_code(host, code, words, TargetRefusedError)
    if isinstance(error, smtplib.SMTPDataError):
        return _by_code(host, error.smtp_code, error.smtp_error, MessageRefusedError)
    if isinstance(error, smtplib.SMTPResponseException):
        return _by_code(host, error.smtp_code, error.smtp_error, TargetRefusedError)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TargetRefusedError(f"{host}: {error}", hint="see `security` and `user` of the notifier")
    return failed(host, error)


def _by_code(host: str, code: int, words: bytes | str, lasting: type[DeliveryError]) -> DeliveryError:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    kind = lasting if code >= 500 else DeliveryError
    return kind(_short(one_line(f"{host} answered {code} {text}")))
