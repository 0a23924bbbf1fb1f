"""Messages between the thread that hears Kafka and the one that reads: bounded in bytes until they are committed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from citywatch.errors import CitywatchError

if TYPE_CHECKING:
    from confluent_kafka import Message

ROOM = 48 << 20
"""Bytes of messages that are not committed; then the partitions rest."""

GATHER_ROWS = 20_000
GATHER_BYTES = 8 << 20

_OVERHEAD = 400
"""Bytes that a message needs beside its contents."""


class Inbox:
    """Filled by one thread, emptied by another. It makes nobody wait who fills it: they ask whether it is `full`."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._waiting: list[Message] = []
        self._held = 0
        self._ended = False
        self._error: CitywatchError | None = None
        self._changed = threading.Condition()

    @property
    def full(self) -> bool:
        """Whether nothing more should be heard for now."""
        return self._held >= self._room

    def put(self, messages: Sequence[Message]) -> None:
        """Leave messages."""
        with self._changed:
            self._waiting += messages
            self._held += size_of(messages)
            self._changed.notify_all()

    def take(self) -> list[Message]:
        """What has come, in its order; waits for the first. Empty at the end. Raises the error that ended it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._ended)
            if self._error is not None:
                raise self._error
            if self._ended:
                return []
            count = _how_many(self._waiting)
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            return taken

    def release(self, size: int) -> None:
        """So many bytes of messages that were taken need no memory any more."""
        with self._changed:
            self._held -= size

    def end(self, error: CitywatchError | None = None) -> None:
        """Nothing more is taken."""
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify_all()


def size_of(messages: Sequence[Message]) -> int:
    """About how much memory messages need."""
    return sum(len(message) for message in messages) + _OVERHEAD * len(messages)


def _how_many(messages: Sequence[Message]) -> int:
    size = 0
    for number, message in enumerate(messages[:GATHER_ROWS], start=1):
        size += len(message)
        if size >= GATHER_BYTES:
            return number
    return min(len(messages), GATHER_ROWS)
