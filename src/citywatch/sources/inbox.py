"""Messages between the thread that hears and the one that reads: bounded in bytes until they are committed."""

from __future__ import annotations

import threading
from collections.abc import Sequence, Sized
from typing import Generic, TypeVar

from citywatch.errors import CitywatchError

ROOM = 48 << 20
"""Bytes of messages that are not committed; then it is full."""

GATHER_ROWS = 20_000
GATHER_BYTES = 8 << 20
"""At most so much is taken at once, a single message aside."""

_OVERHEAD = 400
"""Bytes that a message needs beside its contents."""

Message = TypeVar("Message", bound=Sized)
"""Its length is that of its contents, in bytes."""


class Inbox(Generic[Message]):
    """Filled by one thread, emptied by another. Who fills it asks whether it is `full`, or waits until it is not.

    Parameters
    ----------
    room
        Bytes of messages that were put in and not released with which it is full.
    """

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

    def wait_for_room(self, within: float | None = None) -> None:
        """Wait until it is not full, or has ended; at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or self._ended, within)

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
        """So many bytes (`size_of`) of messages that were taken need no memory any more."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def end(self, error: CitywatchError | None = None) -> None:
        """Nothing more is taken."""
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify_all()


def size_of(messages: Sequence[Sized]) -> int:
    """About how much memory messages need, in bytes."""
    return sum(map(len, messages)) + _OVERHEAD * len(messages)


def _how_many(messages: Sequence[Sized]) -> int:
    size = 0
    for number, message in enumerate(messages[:GATHER_ROWS], start=1):
        size += len(message)
        if size >= GATHER_BYTES:
            return number
    return min(len(messages), GATHER_ROWS)
