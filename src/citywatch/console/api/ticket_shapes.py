"""What goes in and out of the tickets' part of the API, as pydantic sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import BeforeValidator, Field

from citywatch.console.api.shapes import Body, Seeing, given, names
from citywatch.ticketing import Standing

__all__ = ["Approve", "Exported", "Reason", "Refuse", "Seeing", "Ticket", "TicketPage", "TicketQuery"]

Standings = Annotated[list[Standing], BeforeValidator(given), names(Standing)]
Codes = list[Annotated[int, Field(ge=0, le=32_767)]]
Version = Annotated[
    str | None,
    Field(
        None,
        max_length=64,
        description="`version` of what was looked at: where it is another one by now, nothing is decided (409).",
    ),
]


class TicketQuery(Seeing):
    """Which proposals, and where in their list."""

    state: Standings = Field(default_factory=list, description="Only in this state; may be given several times.")
    code: Codes = Field(default_factory=list, description="Only of this violation code; may be given several times.")
    cursor: str = Field(
        "", pattern=r"^(-?[0-9]{1,16}\.[0-9a-f]{64})?$", description="`next_cursor` of the page before."
    )
    limit: int = Field(100, ge=1, le=1000, description="Proposals a page, at most.")


class Seen(Schema):
    """A violation that a proposal is made of."""

    source: str
    id: str


class Ticket(Schema):
    """A proposal, and the ticket that it became."""

    id: str = Field(pattern="^[0-9a-f]{64}$")
    state: Standing
    plate: str
    plate_state: str | None
    violation_code: int
    offence: str | None
    fine: int | None = Field(description="US dollars; null where the place does not tell which of the two holds.")
    fine_manhattan: int | None
    fine_elsewhere: int | None
    time: datetime
    last_seen: datetime
    count: int
    lat: float | None
    lon: float | None
    address: str | None
    street: str | None
    borough: str | None
    precinct: int | None
    image_id: str | None
    device_id: str | None
    plate_type: str | None
    vehicle_make: str | None
    vehicle_body: str | None
    vehicle_color: str | None
    vehicle_year: int | None
    issuer_agency: str | None
    time_precision: str | None
    violations: list[Seen]
    ticketed: list[str] = Field(description="Tickets that were issued for it under another code.")
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    summons_number: str | None
    batch: int | None
    version: str


class TicketPage(Schema):
    """A page of proposals."""

    tickets: list[Ticket]
    next_cursor: str | None = Field(description="For the next page; null: this is the last one so far.")


class Approve(Body):
    """Approve a proposal."""

    reason: str | None = Field(None, max_length=1000, description="Why, in words; kept with the decision.")
    version: Version = None


class Refuse(Body):
    """Refuse a proposal."""

    reason: str = Field(
        min_length=1, max_length=1000, pattern=r"\S", description="Why, in words; kept with the decision."
    )
    version: Version = None


class Batch(Schema):
    """Tickets that were issued together."""

    batch: int
    tickets: int
    summons: list[str] = Field(description="Their numbers.")


class Exported(Schema):
    """What an export has issued."""

    batches: list[Batch]


class Reason(Schema):
    """Why plates are looked at."""

    purpose: str = Field(
        min_length=1, max_length=500, pattern=r"\S", description="Why you look at it; recorded with your name."
    )
