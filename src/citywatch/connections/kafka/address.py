"""What a `kafka://` address says: `kafka://host:9092,host2:9092/TOPIC,TOPIC?mapping=…&group=…&from=…&config=FILE`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from citywatch.connections import addresses
from citywatch.errors import UsageError

SCHEME = "kafka://"
PORT = 9092
EVENTS, ALERTS = "citywatch.events", "citywatch.alerts"
BEGINNING, LATEST = "beginning", "latest"

_EXAMPLE = f"write kafka://host:{PORT}/TOPIC, such as kafka://localhost/{EVENTS}"
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:@/?#\[\]]+)(?::([0-9]{1,5}))?")


def is_topic(address: str) -> bool:
    """Whether an address means Kafka."""
    return address.startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class Address:
    """Topics of a Kafka cluster.

    Attributes
    ----------
    name
        The address as a person wrote it; it holds no secret.
    servers
        `host:port` of some of its brokers, with commas, as clients want it.
    mappings
        What the messages of each topic are taken for; a topic that is not in it has each recognised by its fields.
    group
        Consumer group; None = one of its own for the data directory.
    start
        Where a topic is begun of which nothing is known: `beginning` or `latest`.
    configuration
        File of the client's properties.
    """

    name: str
    servers: str
    topics: tuple[str, ...]
    mappings: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    start: str = BEGINNING
    configuration: Path | None = None


def parse(text: str, options: Sequence[str] = ("mapping", "group", "from", "config"), topic: str = "") -> Address:
    """The address behind `text`, which may have `options`; `topic` is read where it names none. Raises UsageError."""
    place, _, query = text.partition("?")
    _, _, rest = place.partition("://")
    authority, _, path = rest.partition("/")
    given = addresses.options(text, query, options)
    topics = tuple(dict.fromkeys(name for name in unquote(path or topic).split(",") if name))
    if not topics:
        raise UsageError(f"{text!r} names no topic", hint=_EXAMPLE)
    if wrong := [name for name in topics if not _TOPIC.fullmatch(name) or name in (".", "..")]:
        raise UsageError(f"{text!r}: {wrong[0]!r} is no name of a topic", hint=_EXAMPLE)
    start = given.get("from", BEGINNING)
    if start not in (BEGINNING, LATEST):
        raise UsageError(f"{text!r}: from={start} is not possible", hint=f"from={BEGINNING} or from={LATEST}")
    return Address(
        name=text,
        servers=_servers(text, authority),
        topics=topics,
        mappings=_mappings(text, given.get("mapping"), topics),
        group=given.get("group"),
        start=start,
        configuration=Path(given["config"]) if "config" in given else None,
    )


def servers(text: str) -> str:
    """`host`, `host:port`, several with commas, as `host:port,…`. Raises ValueError."""
    found = []
    for part in text.split(","):
        match = _SERVER.fullmatch(part.strip())
        if match is None or not 0 < int(match[2] or PORT) < 65_536:
            raise ValueError(f"{part!r} is no host:port")
        found.append(f"{match[1]}:{match[2] or PORT}")
    return ",".join(found)


def _servers(text: str, authority: str) -> str:
    if "@" in authority:
        shown = text.replace(f"{authority.rpartition('@')[0]}@", "", 1)
        raise UsageError(
            "who signs in to Kafka does not stand in the address, which everybody on this machine can read",
            hint=f"write {shown!r}, and sasl.username and sasl.password into the file of ?config=FILE",
        )
    if not authority:
        raise UsageError(f"{text!r} names no host", hint=_EXAMPLE)
    try:
        return servers(authority)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=_EXAMPLE) from error


def _mappings(text: str, given: str | None, topics: Sequence[str]) -> dict[str, str]:
    """`NAME` for all topics, or `TOPIC:NAME,TOPIC:NAME`."""
    if not given:
        return {}
    if ":" not in given:
        return dict.fromkeys(topics, given)
    pairs = [part.partition(":") for part in given.split(",")]
    if wrong := [topic for topic, colon, name in pairs if topic not in topics or not colon or not name]:
        hint = f"mapping=NAME for all, or mapping=TOPIC:NAME,TOPIC:NAME; topics: {', '.join(topics)}"
        raise UsageError(f"{text!r}: mapping={given} says nothing of a topic {wrong[0]!r} that is read", hint=hint)
    return {topic: name for topic, _, name in pairs}
