"""Messages between the thread that hears and the one that reads: bounded in bytes until they are committed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from citywatch.errors import CitywatchError

ROOM = 64 << 20
"""Bytes of messages that are not committed; then nothing more is read from the network."""

GATHER_ROWS = 5_000
GATHER_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `packet` is what the broker wants acknowledged, of connection number `connection`; 0 = nothing."""

    topic: str
    payload: bytes
    packet: int
    connection: int


@dataclass(slots=True)
class Inbox:
    """Filled by one thread, emptied by another.

    Parameters
    ----------
    room
        Bytes of messages that were put in and not released, beyond which `put` waits.
    """

    room: int = ROOM
    _waiting: list[Message] = field(default_factory=list)
    _held: int = 0
    _ended: bool = False
    _error: CitywatchError | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, message: Message) -> None:
        """Leave a message; waits for room."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self.room or self._ended)
            self._waiting.append(message)
            self._held += len(message.payload)
            self._changed.notify_all()

    def take(self) -> list[Message]:
        """What has come, in its order; waits for the first. Empty at the end. Raises the error that ended it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._ended)
            if self._error is not None:
                raise self._error
            if self._ended:
                return []
            taken = self._waiting[: _how_many(self._waiting)]
            del self._waiting[: len(taken)]
            return taken

    def release(self, size: int) -> None:
        """So many bytes of messages that were taken need no memory any more."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def end(self, error: CitywatchError | None = None) -> None:
        """Nothing more is taken."""
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify_all()


def _how_many(messages: list[Message]) -> int:
    size = 0
    for number, message in enumerate(messages[:GATHER_ROWS], start=1):
        size += len(message.payload)
        if size >= GATHER_BYTES:
            return number
    return min(len(messages), GATHER_ROWS)
