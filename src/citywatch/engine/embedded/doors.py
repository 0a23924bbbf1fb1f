"""Submissions of many threads, committed together: while one commit reaches the disk, the next ones gather."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from citywatch.engine.embedded.intake import Receipt, Submission
from citywatch.errors import CapacityError

GATHER_ROWS = 65_536
"""At most so many events in one commit, what is left at once aside."""

WAITING_ROWS = 1_000_000
"""More events do not wait: their senders are told to come again."""


class _Waiting(NamedTuple):
    submission: Submission
    receipt: Future[Receipt]


class Door:
    """One thread that commits what others leave.

    Parameters
    ----------
    commit
        Takes submissions in their order; gives a receipt for each, or raises and has accepted none.
    """

    def __init__(self, commit: Callable[[Sequence[Submission]], list[Receipt]]) -> None:
        self._commit = commit
        self._queue: queue.Queue[list[_Waiting] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._rows = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return self._rows

    def enter(self, submissions: Sequence[Submission]) -> list[Future[Receipt]]:
        """Leave submissions for one commit. Raises CapacityError when too much waits, or when the door is closed."""
        waiting = [_Waiting(submission, Future()) for submission in submissions]
        with self._lock:
            if self._closed:
                raise CapacityError("the engine is stopping", hint="send again when it is back")
            if self._rows > WAITING_ROWS:
                raise CapacityError(f"{self._rows:,} records are waiting already", hint="send again in a second")
            self._rows += sum(submission.parsed.read for submission in submissions)
            self._queue.put(waiting)
        return [one.receipt for one in waiting]

    def close(self) -> None:
        """Commit what waits, then end."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            group, ended = self._gather()
            if group:
                self._answer(group)

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """What is there, at least one submission; and whether the door is closed behind it."""
        group: list[_Waiting] = []
        rows = 0
        item = self._queue.get()
        while item is not None:
            group += item
            rows += sum(waiting.submission.parsed.read for waiting in item)
            if rows >= GATHER_ROWS:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _answer(self, group: list[_Waiting]) -> None:
        try:
            receipts = self._commit([waiting.submission for waiting in group])
            for waiting, receipt in zip(group, receipts, strict=True):
                waiting.receipt.set_result(receipt)
        except BaseException as error:
            for waiting in group:
                waiting.receipt.set_exception(error)
        finally:
            with self._lock:
                self._rows -= sum(waiting.submission.parsed.read for waiting in group)
