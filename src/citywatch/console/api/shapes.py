"""What goes in and out of the alerts' part of the API, as pydantic sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from citywatch.alert import Level, Outcome, State
from citywatch.triage import LONGEST_ASSIGNEE, LONGEST_NOTE

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|z|[+-]\d\d:\d\d)", re.ASCII)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(text: Any) -> int | None:
    """RFC 3339 as microseconds UTC, finer ones cut; empty is None. Raises ValueError."""
    if text in (None, ""):
        return None
    found = _RFC_3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a time is RFC 3339 with an offset: 2026-05-01T12:00:00Z")
    day, clock, fraction, offset = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0'):0<6}{offset.upper()}")
    return (moment - EPOCH) // timedelta(microseconds=1)


def given(values: list[str]) -> list[str]:
    """An empty value in an address is as good as none."""
    return [value for value in values if value != ""]


def names(values: Iterable[str]) -> WithJsonSchema:
    """A list of some of these names, as OpenAPI says it."""
    return WithJsonSchema({"type": "array", "items": {"type": "string", "enum": [*values, ""]}})


States = Annotated[list[State], BeforeValidator(given), names(State)]
Levels = Annotated[list[Level], BeforeValidator(given), names(Level)]
Rules = Annotated[list[str], BeforeValidator(given)]

Instant = Annotated[
    int | None,
    BeforeValidator(microseconds),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "const": ""}]}),
]
"""Microseconds UTC; on the wire RFC 3339, or empty for none."""

_PURPOSE = "For which purpose plates, names and faces are to be seen; needs the right `reveal`, and is recorded."

Purpose = Annotated[str, Field("", max_length=500, description=_PURPOSE, examples=["check for a mistake"])]


class Seeing(Schema):
    """How much of an alert is shown."""

    purpose: Purpose = ""


class Kinds(Seeing):
    """Which kinds of alert."""

    rule: Rules = Field(default_factory=list, description="Only of this rule; may be given several times.")
    level: Levels = Field(default_factory=list, description="Only of this level; may be given several times.")


class AlertQuery(Kinds):
    """Which alerts, and where in their list."""

    state: States = Field(default_factory=list, description="Only in this state; may be given several times.")
    since: Instant = Field(None, alias="from", description="Only first seen at this time or later.")
    until: Instant = Field(None, alias="to", description="Only first seen before this time.")
    cursor: str = Field(
        "", pattern=r"^(-?[0-9]{1,17}\.[0-9a-f]{64})?$", description="`next_cursor` of the page before."
    )
    limit: int = Field(100, ge=1, le=1000, description="Alerts a page, at most.")


class EvidenceEvent(Schema):
    """One event of the evidence."""

    source: str
    id: str
    type: str
    time: str
    data: dict[str, Any]


class Alert(Schema):
    """An alert: what the engine says of it, and where it stands in people's work."""

    id: str = Field(pattern="^[0-9a-f]{64}$")
    rule: str
    rule_id: str
    rule_version: str
    title: str
    level: Level
    status: str
    group: dict[str, Any]
    first_seen: datetime
    last_seen: datetime
    count: int
    late: bool
    lat: float | None
    lon: float | None
    address: str | None
    reason: str | None
    values: dict[str, Any]
    evidence: list[EvidenceEvent]
    state: State
    outcome: Outcome | None
    assignee: str | None
    updated_at: datetime
    inconclusive: bool = Field(False, description="Its window overlaps an outage; absent where it does not.")


class AlertPage(Schema):
    """A page of alerts."""

    alerts: list[Alert]
    next_cursor: str | None = Field(description="For the next page; null: this is the last one so far.")


class Body(Schema):
    """What is sent: nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


Words = Annotated[str | None, Field(None, max_length=LONGEST_NOTE, description="Why, in words; kept with the alert.")]


class Ack(Body):
    """Say that you look after an alert."""

    note: Words = None


class Undo(Body):
    """Take the last action back."""

    note: Words = None


class Assign(Body):
    """Give an alert to somebody."""

    assignee: str | None = Field(None, min_length=1, max_length=LONGEST_ASSIGNEE, description="Who; you when left out.")
    note: Words = None


class Shelve(Body):
    """Put an alert aside for a while."""

    until: Annotated[int, BeforeValidator(microseconds), WithJsonSchema({"type": "string", "format": "date-time"})] = (
        Field(description="When it comes back open.")
    )
    note: Words = None


class Close(Body):
    """Close an alert."""

    outcome: Outcome = Field(description="What it was.")
    note: Words = None


def _integer(given: Any) -> Any:
    """JSON knows one kind of number: 46.0 is 46. Neither `true` nor "46" is one."""
    if isinstance(given, bool | str):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic makes problems of ValueError only
    return given


Integer = Annotated[int, BeforeValidator(_integer)]


class EventName(Body):
    """The two words by which an event is known."""

    source: str
    id: str


class Correct(Body):
    """Give a violation its right code."""

    code: Integer = Field(ge=0, le=32_767, description="The right violation code.")
    event: EventName | None = Field(None, description="Which of the evidence, where several are violations.")
    note: Words = None


class Note(Body):
    """Write something down."""

    note: str = Field(min_length=1, max_length=LONGEST_NOTE, pattern=r"\S", description="The words.")
