"""`--rejected-to`: a topic that hears of every record that could not be read, with the reason and the record.

The desk has them first, whatever becomes of the topic; each is told once more after a kill, under the same id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import UnionType
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.topic_relay import Taken, TopicRelay

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.connections.kafka.producing import Outgoing
    from citywatch.stores.desk import Desk

TOPIC = "citywatch.rejected"
LARGEST = 600_000
"""Bytes of a record that goes into a message; brokers take a million. Of a longer one the head goes."""

_AT_ONCE = 200
_EVERY_S = 0.5
_SHOWN: dict[str, type | UnionType] = {
    **dict.fromkeys(("id", "source", "reason"), str),
    **dict.fromkeys(("first_seen", "size"), int),
    "line": int | None,
    "mapping": str | None,
}


def rejected_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--rejected-to ADDRESS`."""
    meaning = f"Tell a topic, too, of records that cannot be read: kafka://host/{TOPIC}."
    option: Callable[..., Callable[..., None]] = click.option("--rejected-to", metavar="ADDRESS", help=meaning)
    return option(command)


@contextmanager
def telling_rejected(host: Host, to: str | None) -> Iterator[TopicRelay | None]:
    """Keep the topic up while the block lasts; None where none is named. Raises UsageError."""
    if to is None:
        yield None
        return
    from citywatch.connections.kafka.address import parse
    from citywatch.connections.kafka.configuration import require

    require()
    with TopicRelay(host.directory, parse(to, ("config",), TOPIC), "rejected records", _rejected, _EVERY_S) as relay:
        yield relay


def _rejected(desk: Desk, after: int) -> list[Taken]:
    return [Taken(place, _message(record, desk)) for place, record in desk.rejected_since(after, _AT_ONCE)]


def _message(record: dict[str, Any], desk: Desk) -> Outgoing:
    from citywatch.connections.kafka.producing import Outgoing

    head = {name: record[name] for name in _SHOWN}
    value = json.dumps({**head, **written(desk.rejected_raw(record["id"])[:LARGEST])}, ensure_ascii=False)
    return Outgoing(record["id"], value.encode())


def written(raw: bytes) -> dict[str, str]:
    """The bytes of a record as members of a JSON object: text, or base64 where they are no UTF-8."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}


def read_back(message: bytes) -> tuple[dict[str, Any], bytes] | None:
    """(record, raw) of a message; None where it is none, or holds only the head of the record."""
    try:
        record = json.loads(message)
        raw = base64.b64decode(record["raw_base64"]) if "raw_base64" in record else record["raw"].encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    fits = all(name in record and _fits(record[name], _SHOWN[name]) for name in _SHOWN)
    return (record, raw) if fits and len(raw) == record["size"] else None


def _fits(value: object, kind: type | UnionType) -> bool:
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return False  # half of a character of two: nobody can write it down
    return isinstance(value, kind) and not isinstance(value, bool) and not _beyond(value)


def _beyond(value: object) -> bool:
    return isinstance(value, int) and not 0 <= value < 1 << 62
