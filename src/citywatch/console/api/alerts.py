"""Alerts: list them, read one, work on one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import P, PathEx, Query, Router, Schema
from ninja.errors import AuthorizationError, HttpError

from citywatch.alert import Action
from citywatch.console.access import Scope
from citywatch.console.api import shapes
from citywatch.console.api.access import caller, needs
from citywatch.console.api.problems import documented
from citywatch.console.port import DeskPort
from citywatch.console.site import current
from citywatch.masking import masked
from citywatch.triage import Choice, Listed, Place, Wish

router = Router(tags=["alerts"])

AlertId = PathEx[str, P(description="Its id, or any unique beginning of it.")]

READ = needs(Scope.ALERTS_READ)
ACT = needs(Scope.ALERTS_ACT)


def unmasked(request: HttpRequest, purpose: str) -> bool:
    """Whether the caller is to see plates, names and faces: gives a purpose, and may (else 403)."""
    if purpose.strip() and not caller(request).may(Scope.REVEAL):
        raise AuthorizationError(message=f"{caller(request).name} may not see plates, names and faces.")
    return bool(purpose.strip())


def seen(request: HttpRequest, desk: DeskPort, listed: Sequence[Listed], purpose: str) -> list[dict[str, Any]]:
    """The alerts as the caller may see them; unmasked, for a purpose, is recorded before anything is sent."""
    if not unmasked(request, purpose):
        return [masked(found.alert) for found in listed]
    shown = [found.alert["id"] for found in listed]
    desk.audit_alerts(caller(request).name, "api", shown, purpose=purpose.strip())
    return [found.alert for found in listed]


def answer(body: Any) -> HttpResponse:
    """JSON as the command line writes it."""
    return HttpResponse(json.dumps(body, ensure_ascii=False, separators=(",", ":")), content_type="application/json")


@router.get("", auth=READ, response=shapes.AlertPage, summary="List alerts")
def listing(request: HttpRequest, query: Query[shapes.AlertQuery]) -> HttpResponse:
    """A page of alerts, ordered by first_seen and id: `{"alerts": […], "next_cursor": …}`.

    `next_cursor`, and the header Link, lead to the next page; it is null on the last. Alerts that come or change
    meanwhile push nothing from one page to another.
    """
    known_parameters(request, shapes.AlertQuery)
    choice = Choice(states=query.state, rules=query.rule, levels=query.level, since=query.since, until=query.until)
    with current().desk() as desk:
        desk.wake()
        found = desk.page(choice, after=Place.from_text(query.cursor), limit=query.limit + 1)
        page, more = found[: query.limit], len(found) > query.limit
        cursor = str(_place(page[-1])) if more else None
        shown = seen(request, desk, page, query.purpose)
    return next_page(request, {"alerts": shown, "next_cursor": cursor}, cursor)


def next_page(request: HttpRequest, body: dict[str, Any], cursor: str | None) -> HttpResponse:
    """A page of a list, with the address of the one behind it in its header."""
    response = answer(body)
    if cursor:
        response["Link"] = f'<{_with_cursor(request, cursor)}>; rel="next"'
    return response


def known_parameters(request: HttpRequest, query: type[Schema]) -> None:
    """A misspelt filter would show more than was asked for. Raises HttpError."""
    known = [field.alias or name for name, field in query.model_fields.items()]
    if unknown := [name for name in request.GET if name not in known]:
        raise HttpError(422, f"There is no parameter {', '.join(unknown)}; there are {', '.join(known)}.")


def _place(listed: Listed) -> Place:
    return Place(shapes.microseconds(listed.alert["first_seen"]) or 0, listed.alert["id"])


def _with_cursor(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{request.path}?{query.urlencode()}"


@router.get("/{alert}", auth=READ, response={200: shapes.Alert, **documented(404)}, summary="Read an alert")
def one(request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing]) -> HttpResponse:
    """One alert, with its evidence and where it stands."""
    with current().desk() as desk:
        desk.wake()
        return answer(seen(request, desk, [desk.alert(alert)], seeing.purpose)[0])


_CHANGED: Any = {"auth": ACT, "response": {200: shapes.Alert, **documented(404, 409)}}


def _act(request: HttpRequest, alert: str, seeing: shapes.Seeing, action: Action, **details: Any) -> HttpResponse:
    """Do it, then show the alert; 409 where the alert's state does not allow it."""
    unmasked(request, seeing.purpose)  # refused before anything is done
    with current().desk() as desk:
        full = desk.act(alert, Wish(action, by=caller(request).name, channel="api", **details))
        return answer(seen(request, desk, [desk.alert(full)], seeing.purpose)[0])


@router.post("/{alert}/ack", **_CHANGED, summary="Acknowledge")
def ack(
    request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Ack | None = None
) -> HttpResponse:
    """Say that you look after an alert."""
    return _act(request, alert, seeing, Action.ACK, note=body and body.note)


@router.post("/{alert}/assign", **_CHANGED, summary="Assign")
def assign(
    request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Assign | None = None
) -> HttpResponse:
    """Give an alert to somebody: to whom `assignee` names, else to yourself."""
    who = (body and body.assignee) or caller(request).name
    return _act(request, alert, seeing, Action.ASSIGN, assignee=who, note=body and body.note)


@router.post("/{alert}/shelve", **_CHANGED, summary="Shelve")
def shelve(request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Shelve) -> HttpResponse:
    """Put an alert aside; it comes back open at `until`. 409 where that is over already."""
    if body.until <= time.time_ns() // 1000:
        raise HttpError(409, "An alert is shelved until a time that is still to come.")
    return _act(request, alert, seeing, Action.SHELVE, until=body.until, note=body.note)


@router.post("/{alert}/close", **_CHANGED, summary="Close")
def close(request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Close) -> HttpResponse:
    """Close an alert, saying what it was."""
    return _act(request, alert, seeing, Action.CLOSE, outcome=body.outcome, note=body.note)


@router.post("/{alert}/correct", **_CHANGED, summary="Correct the code")
def correct(request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Correct) -> HttpResponse:
    """Give the violation its right code: a `violation.corrected` event is sent, and the alert closed."""
    event = (body.event.source, body.event.id) if body.event else None
    return _act(request, alert, seeing, Action.CORRECT, code=body.code, event=event, note=body.note)


@router.post("/{alert}/note", **_CHANGED, summary="Note")
def note(request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Note) -> HttpResponse:
    """Write something down with an alert; its state stays."""
    return _act(request, alert, seeing, Action.NOTE, note=body.note)


@router.post("/{alert}/undo", **_CHANGED, summary="Undo")
def undo(
    request: HttpRequest, alert: AlertId, seeing: Query[shapes.Seeing], body: shapes.Undo | None = None
) -> HttpResponse:
    """Take the last action back, within a minute of it."""
    return _act(request, alert, seeing, Action.UNDO, note=body and body.note)
