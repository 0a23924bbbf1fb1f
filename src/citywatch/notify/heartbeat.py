"""A dead man's switch: an address is called at intervals while all is well, so that its silence is noticed outside."""

from __future__ import annotations

from typing import Any, ClassVar

from citywatch.delivery import Follow
from citywatch.notify.http import send
from citywatch.notify.message import Message
from citywatch.notify.options import DURATION, URL, Option
from citywatch.notify.secret import Given
from citywatch.notify.webhook import DOOR, door_of
from citywatch.settings import MINUTE


class Heartbeat:
    """Calls an address while citywatch is alive and its clock moves. It is told of no alert."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("url", URL, "address to call with GET"),
        Option("every", DURATION, "time between two calls; the other side should wait for two or three", MINUTE),
        *DOOR,
    )
    RATE = None
    BUNDLE = 1
    FOLLOWS = Follow.NOTHING
    TOGETHER = True

    def __init__(self, *, url: Given, every: int, **door: Any) -> None:
        self._url = url
        self.every = every
        self._door = door_of(**door)

    def send(self, message: Message) -> str:  # noqa: ARG002 - a call says nothing but that we live
        """Call; see `citywatch.notify.Notifier`."""
        return send(self._url.read(), method="GET", headers={}, door=self._door)
