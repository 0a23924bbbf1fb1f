"""What stands on the desk, also in a topic of Kafka: a thread takes it there, from a cursor that the desk keeps.

The desk has it first, whatever becomes of the topic. What was written and not yet noted is written again after a kill,
under the same key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from citywatch.background import Background
from citywatch.cli.log import say
from citywatch.errors import CitywatchError, DeliveryError, StoreError

if TYPE_CHECKING:
    from citywatch.connections.kafka.address import Address
    from citywatch.connections.kafka.producing import Outgoing, Producing
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

_PAUSE_S = 2.0


class Taken(NamedTuple):
    """Something of the desk: its place in the order of what is told, and the message."""

    place: int
    message: Outgoing


Take = Callable[["Desk", int], Sequence[Taken]]
"""Some of what stands behind a place."""


class TopicRelay(Background):
    """The thread. While topic or desk cannot be reached it says so once, and tries again until they can.

    Parameters
    ----------
    what
        What is told, in words: `alerts`.
    take
        Takes it from the desk.
    every
        Seconds between two looks while there is nothing.
    """

    def __init__(self, directory: DataDirectory, address: Address, what: str, take: Take, every: float) -> None:
        super().__init__(f"{what} to {address.topics[0]}")
        self._directory, self._address = directory, address
        self._what, self._take, self._every = what, take, every
        self._topic = address.topics[0]
        self._cursor = f"{what} to {address.servers}/{self._topic}"
        self._wake = threading.Event()
        self._level = 0
        self._trouble = ""

    def stop(self) -> None:
        """As always; a rest ends now."""
        self.stopping.set()
        self._wake.set()
        super().stop()

    def drain(self, patience: float = 30.0) -> None:
        """Wait until the topic has all that the desk has now. Raises DeliveryError."""
        deadline, wanted = time.monotonic() + patience, self._level + 2  # a look may be under way
        while self._level < wanted:
            self._wake.set()
            if self._error is not None or time.monotonic() > deadline:
                why = str(self._error or self._trouble or "no answer")
                hint = "they are safe on the desk, and go there with the next run"
                raise DeliveryError(f"{self._address.name} is not told of all {self._what}: {why}", hint=hint)
            time.sleep(0.02)

    def work(self) -> None:
        """Tell the topic, again and again."""
        try:
            while not self.stopping.is_set():
                try:
                    self._serve()
                except StoreError as error:
                    self._waits(str(error))
                    self._wake.wait(_PAUSE_S)
        except Exception as error:
            say(f"{self._address.name} is told of no {self._what} any more: {error}")
            raise

    def _serve(self) -> None:
        from citywatch.connections.kafka.configuration import properties
        from citywatch.connections.kafka.producing import Producing
        from citywatch.stores.desk import Desk

        with (
            Desk(self._directory.desk, create=False) as desk,
            Producing(self._address.servers, properties(self._address.configuration)) as producing,
        ):
            seen = None
            while not self.stopping.is_set():
                if (now := desk.seen()) != seen or self._wake.is_set():
                    self._wake.clear()
                    rest = self._tell(desk, producing)
                    seen = now if rest == self._every else None
                self._wake.wait(rest)

    def _tell(self, desk: Desk, producing: Producing) -> float:
        """Take some there; returns for how long (s) to rest."""
        from citywatch.connections.kafka.producing import UnwrittenError

        found = self._take(desk, desk.cursor(self._cursor))
        try:
            refused = producing.write(self._topic, [taken.message for taken in found]) if found else {}
        except UnwrittenError as error:
            if error.lasting:
                raise CitywatchError(str(error), hint=error.hint or None) from error
            self._waits(f"{self._address.name}: {error}")
            return _PAUSE_S
        for number in refused:
            say(f"{self._topic} takes no message {found[number].message.key}: it is too large")
        if found:
            desk.move_cursor(self._cursor, found[-1].place)
        else:
            self._level += 1
        self._trouble = ""
        return 0 if found else self._every

    def _waits(self, why: str) -> None:
        if not self._trouble:
            say(f"{why}; {self._what} wait for it")
        self._trouble = why
