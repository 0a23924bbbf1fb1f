"""`--rejected-to`: a topic that hears of every record that could not be read, with the reason and the record.

The desk has them first, whatever becomes of the topic; each is told once more after a kill, under the same id.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import click

from citywatch.cli.log import say
from citywatch.errors import CitywatchError, DeliveryError

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.connections.kafka.address import Address
    from citywatch.connections.kafka.producing import Outgoing, Producing
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

TOPIC = "citywatch.rejected"
LARGEST = 600_000
"""Bytes of a record that goes into a message; brokers take a million. Of a longer one the head goes."""

_AT_ONCE = 200
_EVERY_S = 0.5
_PAUSE_S = 2.0
_SHOWN = ("id", "source", "line", "reason", "mapping", "first_seen", "size")


def rejected_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--rejected-to ADDRESS`."""
    meaning = f"Tell a topic, too, of records that cannot be read: kafka://host/{TOPIC}."
    option: Callable[..., Callable[..., None]] = click.option("--rejected-to", metavar="ADDRESS", help=meaning)
    return option(command)


@contextmanager
def telling_rejected(host: Host, to: str | None) -> Iterator[Refusals | None]:
    """Keep the topic up while the block lasts; None where none is named. Raises UsageError."""
    if to is None:
        yield None
        return
    from citywatch.connections.kafka.address import parse
    from citywatch.connections.kafka.configuration import require

    require()
    with Refusals(host.directory, parse(to, ("config",), TOPIC)) as refusals:
        yield refusals


class Refusals:
    """A thread that takes rejected records from the desk to a topic; a context manager. The desk has to be there."""

    def __init__(self, directory: DataDirectory, address: Address) -> None:
        self._directory, self._address = directory, address
        self._topic = address.topics[0]
        self._cursor = f"rejected to {address.servers}/{self._topic}"
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._level = 0
        self._error: Exception | None = None
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="rejected", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def drain(self, patience: float = 30.0) -> None:
        """Wait until the topic has all that the desk has now. Raises DeliveryError."""
        deadline, wanted = time.monotonic() + patience, self._level + 2  # a look may be under way
        while self._level < wanted:
            self._wake.set()
            if self._error is not None or time.monotonic() > deadline:
                why = str(self._error or self._trouble or "no answer")
                hint = "the rejected records are safe on the desk, and go there with the next run"
                raise DeliveryError(f"{self._address.name} is not told of all rejected records: {why}", hint=hint)
            time.sleep(0.02)

    def _run(self) -> None:
        from citywatch.connections.kafka.configuration import properties
        from citywatch.connections.kafka.producing import Producing
        from citywatch.stores.desk import Desk

        try:
            with (
                Desk(self._directory.desk, create=False) as desk,
                Producing(self._address.servers, properties(self._address.configuration)) as producing,
            ):
                while not self._stop.is_set():
                    self._wake.wait(self._tell(desk, producing))
                    self._wake.clear()
        except Exception as error:
            self._error = error
            say(f"{self._address.name} is not told of rejected records any more: {error}")

    def _tell(self, desk: Desk, producing: Producing) -> float:
        """Take some there; returns for how long (s) to rest."""
        from citywatch.connections.kafka.producing import UnwrittenError

        found = desk.rejected_since(desk.cursor(self._cursor), _AT_ONCE)
        try:
            refused = producing.write(self._topic, [_message(record, desk) for _, record in found]) if found else {}
        except UnwrittenError as error:
            if error.lasting:
                raise CitywatchError(str(error), hint=error.hint or None) from error
            if not self._trouble:
                say(f"{self._address.name}: {error}; rejected records wait for it")
            self._trouble = str(error)
            return _PAUSE_S
        for number in refused:
            say(f"{self._topic} takes no message of rejected record {found[number][1]['id'][:12]}: it is too large")
        self._trouble = ""
        if found:
            desk.move_cursor(self._cursor, found[-1][0])
        else:
            self._level += 1
        return 0 if found else _EVERY_S


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
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    whole = all(name in record for name in _SHOWN) and len(raw) == record["size"]
    return (record, raw) if whole else None
