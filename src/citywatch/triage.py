"""The words between the desk and those who work at it: which alerts, what is seen of one, what is to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from citywatch.alert import Action
from citywatch.masking import Subject

LONGEST_NOTE, LONGEST_ASSIGNEE = 2000, 150
"""Characters of what somebody writes about an alert, and of whom it is given to."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which alerts; an empty sequence is any. Times are microseconds UTC: since <= first_seen < until."""

    ids: Sequence[str] = ()
    states: Sequence[str] = ()
    rules: Sequence[str] = ()
    levels: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: int | None = None
    until: int | None = None


EVERY = Choice()


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert in the contract's form, and what the desk itself knows about it.

    `version` is for compare-and-set; `change` and `raised` are places in the stream of alerts; `until` (microseconds
    UTC) ends a shelving.
    """

    alert: dict[str, Any]
    version: int
    change: int
    raised: int
    notified: bool
    reopened: bool
    until: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of alerts by first_seen (microseconds UTC) and id; as text it fits into an address."""

    first_seen: int
    id: str

    def __str__(self) -> str:
        return f"{self.first_seen}.{self.id}"

    @classmethod
    def from_text(cls, text: str) -> Place | None:
        """The reverse of `str`; empty is None."""
        first_seen, _, found = text.partition(".")
        return cls(int(first_seen), found) if text else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to do. Which of the later fields are needed depends on the action.

    `until` ends a shelving, microseconds UTC. `event` is (source, id) of the evidence that a correction is about;
    it may be left out where only one can be meant.
    """

    action: Action
    by: str
    channel: str
    outcome: str | None = None
    assignee: str | None = None
    until: int | None = None
    note: str | None = None
    code: int | None = None
    event: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries of the audit log. Times are microseconds UTC: since <= at < until; `before` continues a list."""

    who: str | None = None
    alert: str | None = None
    subject: Subject | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None
    limit: int = 100


def correctable(event: Mapping[str, Any]) -> bool:
    """Whether an event in evidence is a violation, so that it can have another code."""
    data = event.get("data") or {}
    return event["type"] in ("drone.violation", "ticket.issued") or bool({"violation_code", "needs_human"} & set(data))
