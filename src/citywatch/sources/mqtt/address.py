"""What an `mqtt://` address says: `mqtts://user@host:8883/TOPIC-FILTER?client=…&mapping=…`."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from citywatch.connections import addresses
from citywatch.errors import UsageError
from citywatch.settings import SECOND, duration

PASSWORD = "CITYWATCH_MQTT_PASSWORD"  # noqa: S105 - the name of a variable

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_EXAMPLE = "write mqtt://host/TOPIC, such as mqtt://localhost/frigate/events"
_FOREVER = 0xFFFF_FFFF
_WEEK = 7 * 86_400
_OPTIONS = ("client", "mapping", "expiry", "password-file", "ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, and what is read from it.

    Attributes
    ----------
    name
        The address as a person wrote it; it holds no secret.
    topic
        Topic filter: `+` stands for one level, `#` for the rest.
    client
        Name of the session at the broker, which keeps messages for it while citywatch is away.
    mapping
        What every message is taken for; None = each is recognised by its fields.
    expiry
        Seconds after which the broker forgets a session that does not come back.
    ca, cert, key
        Files of certificates for `mqtts://`; without `ca` those of the system are trusted.
    """

    name: str
    host: str
    port: int
    topic: str
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    client: str = ""
    mapping: str | None = None
    expiry: int = _WEEK
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address behind `text`. Raises UsageError where it is wrong, SourceError where a file of it cannot be read."""
    # A topic filter may hold `#`, which urlsplit would take for the beginning of a fragment.
    place, _, query = text.partition("?")
    scheme, _, rest = place.partition("://")
    authority, _, path = rest.partition("/")
    options = addresses.options(text, query, _OPTIONS)
    user = addresses.user(text, authority, PASSWORD)
    host, port = _broker(text, scheme, authority)
    topic = unquote(path)
    if fault := _fault(topic):
        raise UsageError(f"{text!r}: {fault}", hint=_EXAMPLE)
    if scheme == "mqtt" and (wrong := sorted(options.keys() & {"ca", "cert", "key"})):
        raise UsageError(f"{text!r}: {wrong[0]} needs an encrypted connection", hint="write mqtts://")
    return Address(
        name=text,
        host=host,
        port=port,
        topic=topic,
        tls=scheme == "mqtts",
        user=user,
        password=addresses.password(options, environment, PASSWORD) if user else None,
        client=options.get("client") or _own_name(scheme, host, port, topic),
        mapping=options.get("mapping"),
        expiry=_expiry(text, options.get("expiry")),
        **{name: Path(options[name]) for name in ("ca", "cert", "key") if name in options},
    )


def _broker(text: str, scheme: str, authority: str) -> tuple[str, int]:
    """Its host and port."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=_EXAMPLE) from error
    if not host:
        raise UsageError(f"{text!r} names no host", hint=_EXAMPLE)
    return host, port or _PORTS[scheme]


def _fault(topic: str) -> str | None:
    """What is wrong with a topic filter."""
    levels = topic.split("/")
    if not topic:
        return "no topic is named"
    if "\x00" in topic or len(topic.encode()) > 65_535:
        return "the topic is no topic of MQTT"
    if "#" in topic and (levels[-1] != "#" or topic.count("#") > 1):
        return "# stands for all levels that follow, so it must be the last level"
    if any("+" in level and level != "+" for level in levels):
        return "+ stands for one whole level"
    return None


def _expiry(text: str, given: str | None) -> int:
    if given is None:
        return _WEEK
    try:
        return min(duration(given) // SECOND, _FOREVER)
    except ValueError as error:
        raise UsageError(f"{text!r}: expiry: {error}") from error


def _own_name(scheme: str, host: str, port: int, topic: str) -> str:
    """The same name each time on one machine, so that the broker knows the session again."""
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-_")
    digest = hashlib.sha256(f"{scheme} {host} {port} {topic}".encode()).hexdigest()
    return f"citywatch-{machine[:40]}-{digest[:8]}"
