"""The words between the desk, which keeps what is to be delivered, and those who deliver it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Why a message carries what it carries."""

    ALERT = "alert"
    BATCH = "batch"
    """Several alerts for a file: as good as one message each."""
    DIGEST = "digest"
    """More alerts came than the receiver is to be sent messages."""
    QUIET = "quiet"
    """What came in quiet hours."""
    UPDATE = "update"
    """An alert of which the receiver was told before, and which stands elsewhere now."""
    CHANGES = "changes"
    """Several of these."""


class Follow(StrEnum):
    """What a receiver is told of an alert after the first message."""

    NOTHING = "nothing"
    OUTCOME = "outcome"
    """That it was closed, corrected or opened again, or that its level rose."""
    EVERYTHING = "everything"
    """Every change of its state, its outcome or its level."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a receiver came to be told of an alert."""

    target: str
    route: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """That a receiver is to be told of an alert: by which route, and from when on (µs UTC). `held`: quiet hours."""

    fact: int
    target: str
    route: str
    urgent: bool
    held: bool
    due: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages may be made now, of those that are urgent and of the others; None: any number.

    `together`: changes of several alerts may be told in one message.
    """

    urgent: int | None = None
    others: int | None = None
    together: bool = True


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message that waits to be sent.

    `key` is the same at every try. `enclosed` holds (alert in the contract's form, name of its route), the most
    serious first, at most as many as were asked for; `alerts` is how many there are, `rules` counts them by rule.
    `earlier` are key and time (µs UTC) of the messages that an update follows, `before` is (state, level) of which the
    last of them told.
    """

    number: int
    key: str
    target: str
    kind: Kind
    urgent: bool
    attempts: int
    made: int
    alerts: int
    enclosed: Sequence[tuple[dict[str, Any], str]]
    rules: Mapping[str, int]
    earlier: Sequence[tuple[str, int]] = ()
    before: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a receiver stands. Counts are of alerts, but for `sent` and `failed`, which count messages and tries.

    `oldest` is since when the alert that waits longest could have been told (µs UTC), `until` when the next try is;
    `refused`: the receiver does not want messages of ours, or cannot be reached as it is configured.
    """

    target: str
    waiting: int = 0
    held: int = 0
    oldest: int | None = None
    until: int = 0
    refused: bool = False
    error: str | None = None
    failures: int = 0
    sent: int = 0
    told: int = 0
    failed: int = 0
    given_up: int = 0
