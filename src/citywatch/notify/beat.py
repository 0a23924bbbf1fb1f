"""The thread of one heartbeat: it calls while all is well, and says nothing otherwise. Silence is the alarm."""

from __future__ import annotations

import threading

from citywatch.delivery import Kind
from citywatch.errors import DeliveryError
from citywatch.notify.heartbeat import Heartbeat
from citywatch.notify.message import Message
from citywatch.notify.outbox import Host
from citywatch.notify.route import Target
from citywatch.settings import SECOND

STATUS = "heartbeat/"
"""Beginning of the keys under which the desk has how each heartbeat stands."""

SOON = 5.0
"""Seconds until it is looked again whether all is well."""


class Beat:
    """Calls at intervals while the pulse is well."""

    def __init__(self, target: Target, host: Host) -> None:
        self.target = target
        self._host = host
        self._trouble: str | None = None
        self._called = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {target.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Beat no more."""
        self._stop.set()

    quit = end

    def ended(self, within: float | None) -> bool:
        """Wait for it, at most so many seconds."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        notifier = self.target.notifier
        every = notifier.every / SECOND if isinstance(notifier, Heartbeat) else SOON
        while not self._stop.is_set():
            try:
                well = self._look()
            except Exception as error:  # also a fault of ours must not silence it for good
                self._host.say(f"heartbeat {self.target.name}: {error}")
                well = False
            self._stop.wait(every if well else min(every, SOON))

    def _look(self) -> bool:
        """Call if all is well; whether it is."""
        why = self._host.pulse()
        if why is not None:
            # Until it has called for the first time, the other side waits for nothing, and there is nothing to say.
            self._note(f"not sent: {why}", say=self._called)
            return False
        try:
            self.target.notifier.send(heartbeat(self._host.now()))
        except DeliveryError as error:
            self._note(str(error))
        else:
            self._note(None)
        self._called = True
        return True

    def _note(self, trouble: str | None, *, say: bool = True) -> None:
        """Keep how it stands; say it when that changes."""
        if say and trouble != self._trouble:
            self._host.say(f"heartbeat {self.target.name}: {trouble or 'well again'}")
            self._trouble = trouble
        with self._host.outbox() as outbox:
            outbox.set_status({STATUS + self.target.name: {"at": self._host.now(), "trouble": trouble}})


def heartbeat(at: int) -> Message:
    """The message of a heartbeat: nothing but its time."""
    return Message(key=str(at), kind=Kind.BATCH, alerts=(), total=0, rules={}, zone="UTC", at=at)
