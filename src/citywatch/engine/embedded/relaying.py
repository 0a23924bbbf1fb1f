"""A store elsewhere, kept up with log and desk while an engine runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from citywatch.background import Background
from citywatch.errors import CitywatchError, StoreError
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History
from citywatch.stores.model import Target

EVERY_S = 0.5
RETRY_S = 2.0
_REPORT_EVERY_S = 5.0

STATUS = "stores"
"""Key of the desk's status: store -> how far behind it is, since when it is, and what is wrong."""


class Relaying(Background):
    """A thread that takes what is accepted to a store, soon afterwards. A context manager.

    While the store is away nothing is lost: what it lacks stands in log and desk, and goes there when it is back.

    Parameters
    ----------
    key
        Of the hashes of plates.
    tell
        Takes what people should know at once: that it is away, that it is back.
    """

    def __init__(
        self,
        data: DataDirectory,
        settings: Settings,
        target: Target,
        key: bytes,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__("relay")
        self._data, self._settings, self._target, self._key = data, settings, target, key
        self._tell = tell
        self._trouble: CitywatchError | None = None
        self._history = History(data.path)
        self._place: tuple[int, int] | None = None
        self._behind: tuple[int, int] | None = None
        self._level_at = now_us()
        self._refused, self._why = 0, ""
        self._looked = 0
        self._reported = 0.0

    def drain(self, patience: float = 30.0) -> None:
        """Wait until the store has all that was accepted before; raises StoreError when it is away for so long."""
        deadline, looked, left = time.monotonic() + patience, self._looked, self._behind
        while not (self._looked > looked + 1 and self._behind == (0, 0) and self._trouble is None):
            self.check()
            if self._behind != left or self._trouble is None:
                deadline, left = time.monotonic() + patience, self._behind
            if time.monotonic() > deadline:
                what = self._trouble.what if self._trouble else "no answer"
                hint = "what is not stored there is safe in the data directory, and goes there with the next run"
                raise StoreError(what, hint=hint)
            time.sleep(0.05)

    def standing(self) -> dict[str, dict[str, Any]]:
        """By the name of the store: how far it is behind, since when, what it never takes, and what is wrong now."""
        events, alerts = self._behind or (None, None)
        behind = {"events": events, "alerts": alerts, "level_at": self._level_at}
        trouble = str(self._trouble) if self._trouble else None
        return {self._target.name: {**behind, "refused": self._refused, "why": self._why, "trouble": trouble}}

    def work(self) -> None:
        """Relay; where that fails, try again until the end."""
        with Desk(self._data.desk) as desk:
            while not self.stopping.is_set():
                try:
                    self._relay(desk)
                except StoreError as error:
                    self._fails(error)
                self._report(desk)
                self.stopping.wait(RETRY_S)
            self._report(desk, now=True)

    def _relay(self, desk: Desk) -> None:
        with self._target.relay(self._history, desk, self._settings, self._key) as relay:
            more = True
            while not self.stopping.wait(0 if more else EVERY_S):
                self._place = relay.place
                more = relay.once()
                self._place = relay.place
                if relay.refused:
                    self._refuse(relay.refused, relay.why)
                    relay.refused = 0
                self._measure(desk)
                self._works()
                self._report(desk)

    def _refuse(self, rows: int, why: str) -> None:
        if not self._refused:
            self._tell(f"{self._target.name} can never store some rows, and the others go on: {why}")
        self._refused, self._why = self._refused + rows, why

    def _works(self) -> None:
        if self._trouble is not None:
            self._tell(f"{self._target.name} is there again")
        self._trouble = None
        self._looked += 1

    def _fails(self, error: CitywatchError) -> None:
        if self._trouble is None:
            self._tell(f"{error}; what is new waits for it")
        self._trouble = error

    def _measure(self, desk: Desk) -> None:
        """How many events, and changes of alerts, are not taken over yet; unknown until it was there once."""
        if self._place is not None:
            events, alerts = self._place
            self._behind = max(self._history.rows() - events, 0), max(desk.last_change() - alerts, 0)
        if self._behind == (0, 0):
            self._level_at = now_us()

    def _report(self, desk: Desk, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._reported < _REPORT_EVERY_S:
            return
        self._reported = time.monotonic()
        self._measure(desk)
        desk.set_status({STATUS: {**desk.status().get(STATUS, {}), **self.standing()}})
