"""What an `mqtt://` address says: `mqtts://user@host:8883/TOPIC-FILTER?client=…&mapping=…`."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from citywatch.errors import SourceError, UsageError
from citywatch.settings import SECOND, duration

PASSWORD = "CITYWATCH_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_FILE = "CITYWATCH_MQTT_PASSWORD_FILE"  # noqa: S105 - the name of a variable

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
    options = _options(text, query)
    host, port, user = _authority(text, scheme, authority)
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
        password=_password(options, environment) if user else None,
        client=options.get("client") or _own_name(scheme, host, port, topic),
        mapping=options.get("mapping"),
        expiry=_expiry(text, options.get("expiry")),
        **{name: Path(options[name]) for name in ("ca", "cert", "key") if name in options},
    )


def _options(text: str, query: str) -> dict[str, str]:
    options = {}
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        if name not in _OPTIONS or not value:
            what = f"{name} has no value" if name in _OPTIONS else f"unknown option {name!r}"
            raise UsageError(f"{text!r}: {what}", hint=f"known: {', '.join(_OPTIONS)}; quote the address for the shell")
        options[name] = unquote(value)
    return options


def _authority(text: str, scheme: str, authority: str) -> tuple[str, int, str | None]:
    parts = urlsplit(f"//{authority}")
    if ":" in authority.rpartition("@")[0]:
        shown = text.replace(authority, f"{parts.username}@{authority.rpartition('@')[2]}", 1)
        raise UsageError(
            "a password in an address is seen by everybody on this machine",
            hint=f"write {shown!r}, and put the password into {PASSWORD} or a file named in {PASSWORD_FILE}",
        )
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=_EXAMPLE) from error
    if not parts.hostname:
        raise UsageError(f"{text!r} names no host", hint=_EXAMPLE)
    return parts.hostname, port or _PORTS[scheme], unquote(parts.username) if parts.username else None


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


def _password(options: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    file = options.get("password-file") or environment.get(PASSWORD_FILE)
    if "password-file" not in options and PASSWORD in environment:
        return environment[PASSWORD]
    if file is None:
        return None
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the password in {file}: {error}", hint=f"see ls -l {file}") from error


def _own_name(scheme: str, host: str, port: int, topic: str) -> str:
    """The same name each time on one machine, so that the broker knows the session again."""
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-_")
    digest = hashlib.sha256(f"{scheme} {host} {port} {topic}".encode()).hexdigest()
    return f"citywatch-{machine[:40]}-{digest[:8]}"
