"""Accepted batches that wait for the rules: neighbours become one, so that many small ones cost as little as one."""

from __future__ import annotations

import threading
from collections import deque

import pyarrow as pa

from citywatch.engine.embedded.intake import Accepted

BATCH_BYTES = 32 << 20
"""What is put together is at most so large, a single batch aside."""


class Backlog:
    """Batches in the order of their numbers, for two threads. What finds no room is read from the log again.

    Parameters
    ----------
    room
        How many bytes of events may wait.
    """

    def __init__(self, room: int = 2 * BATCH_BYTES) -> None:
        self._room = room
        self._bytes = 0
        self._waiting: deque[Accepted | None] = deque()
        """None is a bar: what stands behind it waits until it is lifted."""
        self._lock = threading.Lock()

    def leave(self, accepted: Accepted) -> None:
        """Leave a batch, if there is room."""
        with self._lock:
            if self._bytes + accepted.events.nbytes <= self._room:
                self._bytes += accepted.events.nbytes
                self._waiting.append(accepted)

    def bar(self) -> None:
        """Let what is left from now on wait until `lift`: something is to be done in between."""
        with self._lock:
            self._waiting.append(None)

    def lift(self) -> None:
        """Lift the bar, which everything before it has left behind."""
        with self._lock:
            self._waiting.popleft()

    def next(self) -> Accepted | None:
        """The oldest batch, and those that follow it without a gap or bar, as one; None when there is none."""
        with self._lock:
            group: list[Accepted] = []
            while self._waiting and (first := self._waiting[0]) is not None and _follows(group, first):
                group.append(first)
                self._waiting.popleft()
            self._bytes -= sum(accepted.events.nbytes for accepted in group)
        return _joined(group) if group else None


def _follows(group: list[Accepted], accepted: Accepted) -> bool:
    """Whether a batch goes on where the group ends, and the group may grow."""
    if not group:
        return True
    first = accepted.last - len(accepted.events) + 1
    size = sum(part.events.nbytes for part in group) + accepted.events.nbytes
    return first == group[-1].last + 1 and size <= BATCH_BYTES


def _joined(group: list[Accepted]) -> Accepted:
    if len(group) == 1:
        return group[0]
    events = [part.events for part in group if len(part.events)] or [group[0].events]
    return Accepted(pa.concat_tables(events), group[-1].clock, group[-1].last)
