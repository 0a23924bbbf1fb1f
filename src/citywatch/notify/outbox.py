"""What delivery needs from outside. The command line passes it in: notifiers know no store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from citywatch.delivery import Envelope, Follow, Planned, Room, Way
from citywatch.notify.pace import Patience

Due = Callable[[Way], int | None]
"""When the receiver of a delivery may be told again, µs UTC; None: it is not told again."""


class Outbox(Protocol):
    """What is kept of deliveries; `citywatch.stores.desk.Desk` is one. Each thread opens its own."""

    def seen(self) -> int:
        """A number that changes when somebody else has written."""
        ...

    def to_plan(self, limit: int = ...) -> list[tuple[int, dict[str, Any]]]:
        """Alerts for which nobody has decided who is told."""
        ...

    def plan(self, planned: Sequence[Planned], *, upto: int, now: int | None = ...) -> None:
        """Write down who is told of the alerts up to a number, decided `now`."""
        ...

    def risen(self, *, now: int | None = ...) -> list[tuple[int, dict[str, Any]]]:
        """Alerts whose level has risen since it was decided who is told."""
        ...

    def plan_risen(self, planned: Sequence[Planned], facts: Sequence[int]) -> None:
        """Write down who else is told of them."""
        ...

    def follow(self, targets: Sequence[str], due: Due, *, now: int | None = ...) -> int:
        """Let receivers be told again of alerts that stand elsewhere than they were told."""
        ...

    def compose(self, target: str, room: Room, *, bundle: int = ..., now: int | None = ...) -> None:
        """Put what is due into messages."""
        ...

    def outgoing(self, target: str, *, most: int = ..., now: int | None = ...) -> Envelope | None:
        """The message that is to be sent next."""
        ...

    def sent(
        self,
        envelope: Envelope,
        *,
        note: str | None = ...,
        follow: Mapping[str, Follow] | None = ...,
        due: Due = ...,
        now: int | None = ...,
    ) -> None:
        """It arrived; `follow` says by route what the receiver is told of its alerts afterwards, and `due` when."""
        ...

    def put_off(
        self, envelope: Envelope, error: str, *, due: int, until: int, refused: bool = ..., now: int | None = ...
    ) -> None:
        """It did not, and is tried again."""
        ...

    def give_up(self, envelope: Envelope, error: str, *, now: int | None = ...) -> None:
        """It did not, and is not tried again."""
        ...

    def withdraw(self, known: Sequence[str], *, now: int | None = ...) -> int:
        """Give up what waits for receivers that there are no more."""
        ...

    def messages_since(self, target: str, since: int) -> tuple[int, int]:
        """(urgent, other) messages since a time."""
        ...

    def pause(self, target: str) -> tuple[int, int]:
        """(failures in a row, time until which the receiver is left alone)."""
        ...

    def next_due(self, target: str) -> int | None:
        """When there is something to do."""
        ...

    def set_status(self, values: Mapping[str, Any]) -> None:
        """Say under some keys how things stand."""
        ...

    def audit(self, who: str, what: str, *, alert: str | None = ..., purpose: str | None = ...) -> None:
        """Record that somebody was shown what is hidden from others."""
        ...


@dataclass(frozen=True, slots=True)
class City:
    """What deliveries know of the city and its rules.

    `live`: alerts first seen longer ago (µs) are told to nobody any more. `zones`, `precinct` (that of the alert's
    position) and `tags` are asked for each alert.
    """

    zone: str
    live: int
    zones: Callable[[Mapping[str, Any]], Sequence[str]]
    precinct: Callable[[Mapping[str, Any]], int | None]
    tags: Callable[[str], Sequence[str]]
    runbook: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Host:
    """What a deliverer stands on: how to open an outbox, whom to tell what goes wrong, and the present in µs UTC.

    `pulse` says why citywatch is not well; None: it is.
    """

    outbox: Callable[[], AbstractContextManager[Outbox]]
    say: Callable[[str], None]
    pulse: Callable[[], str | None]
    now: Callable[[], int] = lambda: time.time_ns() // 1000
    patience: Patience = field(default_factory=Patience)
