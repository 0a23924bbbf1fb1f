"""Proposals for tickets: the list, one of them with its image, and what people decide."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from citywatch.console import images, presentation, reveals
from citywatch.console.access import Right
from citywatch.console.people import may
from citywatch.console.port import DeskPort
from citywatch.console.site import current
from citywatch.errors import CitywatchError, ProposalError, UnknownProposalError
from citywatch.masking import without
from citywatch.ticketing import Decision, Selection, Standing, Verdict, fine_in_words, hidden, place_of

PAGE = 50

NO_RIGHT = "You may look at proposals: ask an administrator for the right to decide about them."


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """Proposals by time, oldest first: they are worked off in that order."""
    standing = request.GET.get("state", Standing.PROPOSED)
    standing = standing if standing in set(Standing) else Standing.PROPOSED
    after = (request.GET.get("time", ""), request.GET.get("after", ""))
    with current().desk() as desk:
        try:
            found = desk.proposals(Selection([standing]), limit=PAGE + 1, after=after if all(after) else None)
        except CitywatchError as error:
            raise Http404(str(error)) from error
        context = {
            "rows": [_shown(proposal) for proposal in found[:PAGE]],
            "standings": [(s.value, s == standing, count) for s, count in _counted(desk)],
            "standing": standing,
            "next": _next(standing, found[PAGE - 1]) if len(found) > PAGE else None,
            "may_decide": may(_user(request), Right.TICKETS) and standing == Standing.PROPOSED,
            "engine": presentation.engine_state(desk),
        }
    return render(request, "console/tickets.html", context)


def _counted(desk: DeskPort) -> list[tuple[Standing, int]]:
    counts = desk.proposal_counts()
    return [(standing, counts[standing]) for standing in Standing]


def _next(standing: str, last: dict[str, Any]) -> str:
    return "?" + urlencode({"state": standing, "time": last["time"], "after": last["id"]})


def _shown(proposal: dict[str, Any], *, revealed: bool = False) -> dict[str, Any]:
    """A proposal as pages show it, masked unless revealed."""
    seen = proposal if revealed else hidden(proposal)
    gallery = current().gallery
    image = proposal["image_id"]
    here = bool(image and gallery and gallery.known([image]))
    words = {"fine_words": fine_in_words(proposal), "place": place_of(seen)}
    return {**seen, **words, "image": "here" if here else "awaited" if image else None}


@require_safe
def detail(request: HttpRequest, proposal: str) -> HttpResponse:
    """One proposal: what, where, what it costs, its image, and who decided what."""
    with current().desk() as desk:
        return _detail(request, desk, _found(desk, proposal))


def _detail(
    request: HttpRequest, desk: DeskPort, found: dict[str, Any], *, error: str | None = None, status: int = 200
) -> HttpResponse:
    revealed = reveals.is_revealed(request, found["id"])
    shown = _shown(found, revealed=revealed)
    decisions = desk.decisions(found["id"])
    context = {
        "proposal": shown,
        "details": [(name, shown[name]) for name in _DETAILS if shown[name] not in (None, "")],
        "decisions": list(reversed(decisions if revealed else _masked(decisions, found))),
        "revealed": revealed,
        "may_reveal": may(_user(request), Right.REVEAL),
        "may_decide": may(_user(request), Right.TICKETS) and found["state"] in _OPEN,
        "purposes": reveals.PURPOSES,
        "reasons": REASONS,
        "error": error,
        "engine": presentation.engine_state(desk),
    }
    return render(request, "console/ticket.html", context, status=status)


def _masked(decisions: list[dict[str, Any]], about: dict[str, Any]) -> list[dict[str, Any]]:
    reasons = without([decision["reason"] for decision in decisions], about)
    return [{**decision, "reason": reason} for decision, reason in zip(decisions, reasons, strict=True)]


REASONS = ("the plate is not to be read", "no offence to be seen", "the driver could not do otherwise")
_OPEN = (Standing.PROPOSED, Standing.APPROVED, Standing.REFUSED)
_DETAILS = (
    "plate_state plate_type vehicle_make vehicle_body vehicle_color vehicle_year precinct borough device_id"
).split()


@require_POST
def decide(request: HttpRequest, proposal: str) -> HttpResponse:
    """Approve or refuse one; 409 when it has changed since the page was made."""
    with current().desk() as desk:
        found = _found(desk, proposal)
        if not may(_user(request), Right.TICKETS):
            return _detail(request, desk, found, error=NO_RIGHT, status=403)
        try:
            chosen = [(found["id"], request.POST.get("version", ""))]
            desk.decide_all(chosen, _decision(request.POST, _user(request).get_username()))
        except ProposalError as error:
            return _detail(request, desk, _found(desk, found["id"]), error=str(error), status=409)
        except (CitywatchError, ValueError) as error:
            return _detail(request, desk, found, error=str(error), status=422)
    return redirect("ticket", proposal=found["id"])


def _decision(form: QueryDict, by: str) -> Decision:
    """What a form says; raises ValueError where it is no form of ours."""
    reason = form.get("reason", "").strip()[:1000] or None
    return Decision(Verdict(form.get("verdict", "")), by=by, channel="console", reason=reason)


@require_POST
def decide_many(request: HttpRequest) -> HttpResponse:
    """Show what was chosen once more; with `sure`, approve all of it or nothing."""
    if not may(_user(request), Right.TICKETS):
        return HttpResponseForbidden(NO_RIGHT + "\n", "text/plain")
    chosen = dict(text.split(" ", 1) for text in request.POST.getlist("proposal")[:PAGE] if " " in text)
    if not chosen:
        return redirect("tickets")
    error = None
    with current().desk() as desk:
        if request.POST.get("sure"):
            try:
                desk.decide_all(list(chosen.items()), _decision(request.POST, _user(request).get_username()))
            except (CitywatchError, ValueError) as found:
                error = str(found)
            else:
                return redirect("tickets")
        rows = [_shown(p) for p in desk.proposals(Selection(ids=list(chosen)))]
        rows = [{**row, "seen": chosen[row["id"]]} for row in rows]
        context = {"rows": rows, "doubts": _doubts(rows), "error": error, "engine": presentation.engine_state(desk)}
    return render(request, "console/tickets_sure.html", context, status=409 if error else 200)


def _doubts(rows: list[dict[str, Any]]) -> list[str]:
    """What one should look at before approving many at once."""
    counts = {
        "without an image": sum(row["image"] != "here" for row in rows),
        "with a fine that the place does not tell": sum(row["fine"] is None for row in rows),
        "with a ticket already, for another code": sum(bool(row["ticketed"]) for row in rows),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


@require_POST
def reveal(request: HttpRequest, proposal: str) -> HttpResponse:
    """Show plate and image of one for a while, for a purpose that is recorded."""
    purpose = reveals.purpose(request)
    with current().desk() as desk:
        found = _found(desk, proposal)
        if not may(_user(request), Right.REVEAL):
            return _detail(request, desk, found, error=reveals.NOT_ALLOWED, status=403)
        if not purpose:
            return _detail(request, desk, found, error=reveals.NO_PURPOSE, status=422)
        desk.audit_proposals(_user(request).get_username(), "reveal", [found["id"]], purpose=purpose)
    reveals.reveal(request, found["id"])
    return redirect("ticket", proposal=found["id"])


@require_safe
def image(request: HttpRequest, proposal: str) -> HttpResponse:
    """The image of a proposal."""
    with current().desk() as desk:
        found = _found(desk, proposal)
        if not reveals.is_revealed(request, found["id"]):
            return HttpResponseForbidden(images.HIDDEN, "text/plain")
        desk.audit_proposals(_user(request).get_username(), "image", [found["id"]])
    return images.shown(found["image_id"])


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _found(desk: DeskPort, proposal: str) -> dict[str, Any]:
    try:
        return desk.proposal(proposal)
    except UnknownProposalError as error:
        raise Http404(str(error)) from error
