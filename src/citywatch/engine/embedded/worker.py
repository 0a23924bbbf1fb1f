"""A thread that works off a queue; what goes wrong in it is raised where its work is waited for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from citywatch.errors import CitywatchError

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Hands items, in order, to `work` in a thread of its own.

    Parameters
    ----------
    work
        Called with each item. An exception ends the worker: later items are refused with it.
    room
        How many items may wait.
    """

    def __init__(self, name: str, work: Callable[[Item], None], *, room: int = 4) -> None:
        self._work = work
        self._queue: queue.Queue[Item | None] = queue.Queue(room)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Wait for room, then leave an item. Raises what ended the worker."""
        self.check()
        self._queue.put(item)

    def offer(self, item: Item) -> bool:
        """Leave an item if there is room; False when there is none. Raises what ended the worker."""
        self.check()
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def drain(self) -> None:
        """Wait until everything that was left is done. Raises what ended the worker."""
        self._queue.join()
        self.check()

    def stop(self) -> None:
        """Work off what is waiting, then end; never raises."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def check(self) -> None:
        """Raise what ended the worker, if anything did."""
        if isinstance(self._error, CitywatchError):
            raise self._error
        if self._error is not None:
            raise CitywatchError(
                f"{self._thread.name} stopped: {self._error!r}", hint="what was accepted is safe; start again"
            ) from self._error

    @property
    def waiting(self) -> int:
        """About how many items wait."""
        return self._queue.qsize()

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if item is None:
                    return
                if self._error is None:
                    self._work(item)
            except BaseException as error:
                self._error = error
            finally:
                self._queue.task_done()
