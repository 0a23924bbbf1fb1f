"""The words for what people and programs may do."""

from __future__ import annotations

from enum import StrEnum


class Right(StrEnum):
    """What a person may do; whoever may sign in may read alerts, masked."""

    OPERATOR = "operator"
    ANALYST = "analyst"
    AUDITOR = "auditor"
    REVEAL = "reveal"
    TICKETS = "tickets"
    ADMIN = "admin"

    @property
    def meaning(self) -> str:
        """In words."""
        return _RIGHTS[self]


class Scope(StrEnum):
    """What a key may be used for."""

    EVENTS_WRITE = "events:write"
    MEDIA_WRITE = "media:write"
    ALERTS_READ = "alerts:read"
    ALERTS_ACT = "alerts:act"
    TICKETS_READ = "tickets:read"
    TICKETS_DECIDE = "tickets:decide"
    TICKETS_EXPORT = "tickets:export"
    REVEAL = "reveal"
    METRICS_READ = "metrics:read"

    @property
    def meaning(self) -> str:
        """In words."""
        return _SCOPES[self]


_RIGHTS = {
    Right.OPERATOR: "work on alerts",
    Right.ANALYST: "read alerts, masked, and no more",
    Right.AUDITOR: "see who looked up what, and why",
    Right.REVEAL: "see plates, names and faces, for a purpose that is recorded",
    Right.TICKETS: "approve and refuse tickets",
    Right.ADMIN: "all of this",
}

_SCOPES = {
    Scope.EVENTS_WRITE: "send events",
    Scope.MEDIA_WRITE: "send images",
    Scope.ALERTS_READ: "read alerts, masked",
    Scope.ALERTS_ACT: "work on alerts",
    Scope.TICKETS_READ: "read proposals for tickets, masked",
    Scope.TICKETS_DECIDE: "approve and refuse tickets",
    Scope.TICKETS_EXPORT: "issue tickets for what is approved",
    Scope.REVEAL: "see plates, names and faces, for a purpose that is recorded",
    Scope.METRICS_READ: "read /metrics",
}
