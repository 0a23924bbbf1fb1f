"""What stands on the desk, also in a topic of Kafka: a thread takes it there, from a cursor that the desk keeps.

The desk has it first, whatever becomes of the topic. What was written and not yet noted is written again after a kill,
under the same key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from citywatch.cli.log import say
from citywatch.errors import CitywatchError, DeliveryError

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


class TopicRelay:
    """The thread; a context manager. The desk has to be there.

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
        self._directory, self._address = directory, address
        self._what, self._take, self._every = what, take, every
        self._topic = address.topics[0]
        self._cursor = f"{what} to {address.servers}/{self._topic}"
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._level = 0
        self._error: Exception | None = None
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"{what} to {self._topic}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()

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

    def _run(self) -> None:
        from citywatch.connections.kafka.configuration import properties
        from citywatch.connections.kafka.producing import Producing
        from citywatch.stores.desk import Desk

        try:
            with (
                Desk(self._directory.desk, create=False) as desk,
                Producing(self._address.servers, properties(self._address.configuration)) as producing,
            ):
                seen = None
                while not self._stop.is_set():
                    if (now := desk.seen()) != seen or self._wake.is_set():
                        self._wake.clear()
                        rest = self._tell(desk, producing)
                        seen = now if rest == self._every else None
                    self._wake.wait(rest)
        except Exception as error:
            self._error = error
            say(f"{self._address.name} is told of no {self._what} any more: {error}")

    def _tell(self, desk: Desk, producing: Producing) -> float:
        """Take some there; returns for how long (s) to rest."""
        from citywatch.connections.kafka.producing import UnwrittenError

        found = self._take(desk, desk.cursor(self._cursor))
        try:
            refused = producing.write(self._topic, [taken.message for taken in found]) if found else {}
        except UnwrittenError as error:
            if error.lasting:
                raise CitywatchError(str(error), hint=error.hint or None) from error
            if not self._trouble:
                say(f"{self._address.name}: {error}; {self._what} wait for it")
            self._trouble = str(error)
            return _PAUSE_S
        for number in refused:
            say(f"{self._topic} takes no message {found[number].message.key}: it is too large")
        self._trouble = ""
        if found:
            desk.move_cursor(self._cursor, found[-1].place)
        else:
            self._level += 1
        return 0 if found else self._every
