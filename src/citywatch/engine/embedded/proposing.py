"""Proposals for tickets, kept up with the log while an engine runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from citywatch.errors import DiskFullError
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.violations import Following

EVERY_S = 1.0


class Proposing:
    """A thread that takes new violations to the desk, a second after they were accepted. A context manager.

    Parameters
    ----------
    data
        The data directory; its desk is there.
    within
        µs: the same plate and code seen again so soon are the same offence.
    """

    def __init__(self, data: Path, *, within: int) -> None:
        self._data = DataDirectory(data)
        self._within = within
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="proposals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the thread."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with Desk(self._data.desk) as desk:
                following = Following(self._data, desk, within=self._within)
                while not self._stop.wait(EVERY_S):
                    with suppress(DiskFullError):  # the intake says so to whoever sends; this can wait
                        following.once()
        except BaseException as error:
            self._error = error
