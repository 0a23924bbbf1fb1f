"""Work beside the work: a thread that ends with a `with`, and whose end by an error is told to whoever asks."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

_BEHIND = 5
"""Steps of niceness: beside work that waits for a core, it gets a third of what that gets."""


class Background(ABC):
    """Runs `work` in a thread of its own, from `start` to `stop`; also a context manager.

    Parameters
    ----------
    name
        Of the thread.
    gives_way
        Whether all other work comes first where there are too few cores for both, and the system lets a thread say so.
    """

    def __init__(self, name: str, *, gives_way: bool = False) -> None:
        self._gives_way = gives_way
        self.stopping = threading.Event()
        """Set when the work is to end."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """What is done, until `stopping` is set."""

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let it end, and wait for that; what it was doing is finished first. Never raises."""
        self.stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended it, if anything did."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            if self._gives_way:
                _give_way()
            self.work()
        except BaseException as error:
            self._error = error


def _give_way() -> None:
    """Let other threads come before this one, and before those that it begins, where the system tells threads apart."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it (systemd's @resources): the work is done all the same
            os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + _BEHIND, 19))
