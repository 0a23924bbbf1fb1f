"""Housekeeping beside the work: small files joined, ranges published by day, runs merged, replaced files removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from citywatch.background import Background
from citywatch.engine.embedded.keeping import Keeping
from citywatch.errors import CitywatchError, DiskFullError
from citywatch.stores.compaction import Compactor
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import Manifest
from citywatch.stores.identity import Identities
from citywatch.stores.log import Log

_EVERY_S = 2.0
_REMOVE_EVERY = 30
_EXPIRE_AFTER_S, _EXPIRE_EVERY_S = 60.0, 6 * 3600.0


class Upkeep(Background):
    """A thread that keeps the stores in shape.

    Parameters
    ----------
    reached
        Number of the last event that no part of the engine needs from the log any more.
    keeping
        Does what people ask for, and what retention says.
    """

    def __init__(
        self, data: DataDirectory, identities: Identities, reached: Callable[[], int], keeping: Keeping
    ) -> None:
        super().__init__("upkeep", gives_way=True)  # a join takes half a second, and nobody waits for it
        self._data = data
        self._identities = identities
        self._reached = reached
        self._keeping = keeping
        self._desk = Desk(data.desk)
        self._expire_at = time.monotonic() + _EXPIRE_AFTER_S
        self._log = Log(data.log)
        self._compactor = Compactor(data)

    def stop(self) -> None:
        """As always, and leave the desk."""
        super().stop()
        self._desk.close()

    def once(self) -> bool:
        """Do one piece of what is due; False when nothing is."""
        if self._identities.merge():
            return True
        published = Manifest.read(self._data.history).seq
        if self._log.join_small(published):
            return True
        reached = self._reached()
        if self._compactor.due(reached) and self._compactor.publish(reached) > published:
            return True
        return self._compactor.merge_day()

    def work(self) -> None:
        """Look every two seconds, and do all that is due."""
        turns = 0
        while not self.stopping.wait(_EVERY_S):
            while not self.stopping.is_set() and self._once_if_room():
                self._serve()
            self._serve()
            self._expire_if_due()
            turns += 1
            if turns % _REMOVE_EVERY == 1:
                self._compactor.remove_replaced()

    def _serve(self) -> None:
        """Do what was asked for at the desk; what goes wrong is the answer, and no reason to stop."""
        while request := self._desk.take_request():
            answer: dict[str, Any]
            try:
                answer = {"done": self._keeping.do(request.what, request.how)}
            except CitywatchError as error:
                answer = {"error": error.what, "hint": error.hint}
            except Exception as error:  # whoever asked is told, and the engine goes on
                answer = {"error": f"{request.what}: {error!r}", "hint": None}
            self._desk.answer(request, answer)

    def _expire_if_due(self) -> None:
        if time.monotonic() < self._expire_at:
            return
        self._expire_at = time.monotonic() + _EXPIRE_EVERY_S
        with suppress(DiskFullError):  # to write a file without some of its events needs room: the next time
            self._keeping.expire(dry_run=False)

    def _once_if_room(self) -> bool:
        try:
            return self.once()
        except DiskFullError:
            return False  # the intake says so to whoever sends; this work can wait
