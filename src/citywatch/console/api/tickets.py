"""Tickets: list proposals, decide about them, issue tickets for what is approved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import P, PathEx, Query, Router
from ninja.errors import HttpError

from citywatch.console.access import Scope
from citywatch.console.api import ticket_shapes as shapes
from citywatch.console.api.access import caller, needs
from citywatch.console.api.alerts import answer, known_parameters, next_page, unmasked
from citywatch.console.api.problems import documented
from citywatch.console.port import DeskPort, IssuerPort
from citywatch.console.site import current
from citywatch.ticketing import Decision, Selection, Verdict, hidden
from citywatch.triage import Place
from citywatch.wording import iso, micros

router = Router(tags=["tickets"])

TicketId = PathEx[str, P(description="The proposal's id, or any unique beginning of it.")]
BatchNumber = PathEx[int, P(ge=1, le=2**53, description="Its number, from 1.")]
CSV: Any = {"responses": {200: {"description": "The file", "content": {"text/csv": {"schema": {"type": "string"}}}}}}

READ = needs(Scope.TICKETS_READ)


def seen(request: HttpRequest, desk: DeskPort, found: Sequence[dict[str, Any]], purpose: str) -> list[dict[str, Any]]:
    """Proposals as the caller may see them; unmasked, for a purpose, is recorded before anything is sent."""
    if not unmasked(request, purpose):
        return [hidden(proposal) for proposal in found]
    desk.audit_proposals(caller(request).name, "api", [proposal["id"] for proposal in found], purpose=purpose.strip())
    return list(found)


@router.get("", auth=READ, response=shapes.TicketPage, summary="List proposals and tickets")
def listing(request: HttpRequest, query: Query[shapes.TicketQuery]) -> HttpResponse:
    """A page of proposals, ordered by time and id: `{"tickets": […], "next_cursor": …}`.

    `next_cursor`, and the header Link, lead to the next page; it is null on the last.
    """
    known_parameters(request, shapes.TicketQuery)
    place = Place.from_text(query.cursor)
    after = (iso(place.first_seen), place.id) if place else None
    with current().desk() as desk:
        found = desk.proposals(Selection(query.state, query.code), limit=query.limit + 1, after=after)
        page, more = found[: query.limit], len(found) > query.limit
        cursor = str(Place(micros(page[-1]["time"]), page[-1]["id"])) if more else None
        shown = seen(request, desk, page, query.purpose)
    return next_page(request, {"tickets": shown, "next_cursor": cursor}, cursor)


def _issuer() -> IssuerPort:
    issuer = current().issuer
    if issuer is None:
        raise HttpError(503, "This console issues no tickets: call `citywatch tickets export` where the engine runs.")
    return issuer


@router.post(
    "/export",
    auth=needs(Scope.TICKETS_EXPORT),
    response={200: shapes.Exported, **documented(503, 507)},
    summary="Issue tickets",
)
def export(request: HttpRequest) -> HttpResponse:
    """Issue tickets for all that is approved: each once, in a file of the city's columns and as an event.

    `{"batches": […]}` says which; it is empty where nothing was approved. An interrupted export is finished first.
    """
    issuer, who = _issuer(), caller(request).name
    batches = issuer.issue(who)
    with current().desk() as desk:
        desk.audit(who, f"tickets export of {len(batches)}")
    return answer({"batches": [{"batch": b.number, "tickets": len(b.summons), "summons": b.summons} for b in batches]})


@router.get(
    "/batches/{batch}",
    auth=needs(Scope.REVEAL),
    response={200: None, **documented(404, 503)},
    openapi_extra=CSV,
    summary="Fetch a batch",
)
def fetch(request: HttpRequest, batch: BatchNumber, why: Query[shapes.Reason]) -> HttpResponse:
    """The file of a batch. It shows plates, so that this needs the right to see them, and is recorded."""
    content = _issuer().file(batch)
    with current().desk() as desk:
        desk.audit(caller(request).name, f"tickets of batch {batch}", purpose=why.purpose.strip())
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="tickets-{batch:06d}.csv"'
    response["Cache-Control"] = "no-store"
    return response


@router.get("/{ticket}", auth=READ, response={200: shapes.Ticket, **documented(404)}, summary="Read a proposal")
def one(request: HttpRequest, ticket: TicketId, seeing: Query[shapes.Seeing]) -> HttpResponse:
    """One proposal or ticket."""
    with current().desk() as desk:
        return answer(seen(request, desk, [desk.proposal(ticket)], seeing.purpose)[0])


_DECIDED: Any = {"auth": needs(Scope.TICKETS_DECIDE), "response": {200: shapes.Ticket, **documented(404, 409)}}


def _decide(
    request: HttpRequest, ticket: str, seeing: shapes.Seeing, verdict: Verdict, body: shapes.Approve | shapes.Refuse
) -> HttpResponse:
    """Write the decision down, then show the proposal; 409 where it cannot be decided so."""
    unmasked(request, seeing.purpose)  # refused before anything is done
    decision = Decision(verdict, by=caller(request).name, channel="api", reason=body.reason)
    with current().desk() as desk:
        (decided,) = desk.decide_all([(ticket, body.version)], decision)
        return answer(seen(request, desk, [decided], seeing.purpose)[0])


@router.post("/{ticket}/approve", **_DECIDED, summary="Approve")
def approve(
    request: HttpRequest, ticket: TicketId, seeing: Query[shapes.Seeing], body: shapes.Approve | None = None
) -> HttpResponse:
    """Approve a proposal: a ticket is issued for it with the next export."""
    return _decide(request, ticket, seeing, Verdict.APPROVE, body or shapes.Approve(reason=None, version=None))


@router.post("/{ticket}/refuse", **_DECIDED, summary="Refuse")
def refuse(request: HttpRequest, ticket: TicketId, seeing: Query[shapes.Seeing], body: shapes.Refuse) -> HttpResponse:
    """Refuse a proposal, saying why."""
    return _decide(request, ticket, seeing, Verdict.REFUSE, body)
