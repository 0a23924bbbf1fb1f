"""Proposals for tickets, kept up with the log while an engine runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from citywatch.background import Background
from citywatch.errors import DiskFullError
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.violations import Following

EVERY_S = 1.0


class Proposing(Background):
    """A thread that takes new violations to the desk, a second after they were accepted. A context manager.

    Parameters
    ----------
    data
        The data directory; its desk is there.
    within
        µs: the same plate and code seen again so soon are the same offence.
    """

    def __init__(self, data: Path, *, within: int) -> None:
        super().__init__("proposals")
        self._data = DataDirectory(data)
        self._within = within

    def work(self) -> None:
        """Look once a second."""
        with Desk(self._data.desk) as desk:
            following = Following(self._data, desk, within=self._within)
            while not self.stopping.wait(EVERY_S):
                with suppress(DiskFullError):  # the intake says so to whoever sends; this can wait
                    following.once()
