"""The words of tickets: a proposal, what it costs, how it stands, and what a person may do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from citywatch.masking import DOTS, without
from citywatch.offences import offences
from citywatch.offences.places import Spot, fine
from citywatch.wording import place_in_words


class Standing(StrEnum):
    """Where a proposal stands.

    `withdrawn`: it was decided, and then its violation was corrected to something else before a ticket was issued.
    """

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPORTED = "exported"
    WITHDRAWN = "withdrawn"


class Verdict(StrEnum):
    """What a person says."""

    APPROVE = "approve"
    REFUSE = "refuse"

    @property
    def standing(self) -> Standing:
        """Where it leads."""
        return Standing.APPROVED if self is Verdict.APPROVE else Standing.REFUSED


@dataclass(frozen=True, slots=True)
class Decision:
    """Who says what about a proposal, where, and why; a refusal needs a reason."""

    verdict: Verdict
    by: str
    channel: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which proposals; an empty sequence is any."""

    standings: Sequence[str] = ()
    codes: Sequence[int] = ()
    ids: Sequence[str] = ()


ANY = Selection()


@dataclass(frozen=True, slots=True)
class Issued:
    """Tickets that were issued together: the number of their batch, from 1, and their own."""

    number: int
    summons: Sequence[str]


def price(code: int, details: Mapping[str, Any]) -> dict[str, Any]:
    """What the offence is called and costs; `fine` is None where the place does not tell which of the two holds."""
    known = offences().get(code)
    spot = Spot(*(details.get(name) for name in ("precinct", "borough", "lat", "lon")))
    return {
        "offence": known.name if known else None,
        "fine": fine(code, spot),
        "fine_manhattan": known.fine_manhattan if known else None,
        "fine_elsewhere": known.fine_elsewhere if known else None,
    }


def fine_in_words(proposal: Mapping[str, Any]) -> str:
    """`$115`; both where the place does not tell which one holds; `?` for a code without a fine."""
    if proposal["fine"] is not None:
        return f"${proposal['fine']}"
    if proposal["fine_manhattan"] is None:
        return "?"
    return f"${proposal['fine_elsewhere']} or ${proposal['fine_manhattan']}"


def place_of(proposal: Mapping[str, Any]) -> str:
    """Where it was, as well as known."""
    return place_in_words({**proposal, "evidence": [{"data": proposal}]})


_FROM_OUTSIDE = (
    *("address", "street", "borough", "device_id", "plate_state", "plate_type", "vehicle_make", "vehicle_body"),
    *("vehicle_color", "issuer_agency", "violations", "reason"),
)
"""What others wrote into a proposal: messages, and people who decided."""


def hidden(proposal: Mapping[str, Any]) -> dict[str, Any]:
    """The proposal for those who may not see plates and faces, wherever they stand in its words."""
    words = without({name: proposal[name] for name in _FROM_OUTSIDE if name in proposal}, proposal)
    return {**proposal, **words, **{name: DOTS for name in ("plate", "image_id") if proposal[name] is not None}}
