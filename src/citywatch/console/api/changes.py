"""What changes about alerts, as it changes: server-sent events for programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import HeaderEx, P, Query, Router
from ninja.errors import HttpError

from citywatch.console import stream
from citywatch.console.access import Scope
from citywatch.console.api import shapes
from citywatch.console.api.access import allowed, needs
from citywatch.console.api.alerts import known_parameters, seen, unmasked
from citywatch.console.site import current
from citywatch.triage import Listed

router = Router(tags=["alerts"])

PAGE = 200
"""Alerts at once, at most, on their way to one reader."""


@router.get("/stream", auth=needs(Scope.ALERTS_READ), include_in_schema=False)  # OpenAPI has no words for a stream
async def follow(
    request: HttpRequest,
    query: Query[shapes.Kinds],
    last_event_id: HeaderEx[str, P(alias="Last-Event-ID", pattern="^[0-9]{0,18}$")] = "",
) -> StreamingHttpResponse:
    """Every alert that is new or has changed, as it is then, as server-sent events without end.

    An alert may come again unchanged; its id tells. A reader who comes back with the `Last-Event-ID` that it saw last
    gets all that changed since; one without gets what changes from now on.
    """
    known_parameters(request, shapes.Kinds)
    unmasked(request, query.purpose)  # refused before anything is sent
    body = _events(request, query, int(last_event_id) if last_event_id else None)
    response = StreamingHttpResponse(body, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _events(request: HttpRequest, query: shapes.Kinds, cursor: int | None) -> AsyncIterator[str]:
    await stream.give_back()
    admission = stream.Admission(lambda: _still_allowed(request))
    queue = await stream.tailer.join()
    try:
        end = (await asyncio.to_thread(stream.look, None)).end
        done = end if cursor is None else min(cursor, end)  # more than there is: of another data directory
        yield f"retry: 1000\nid: {done}\n\n"
        while await admission.holds():
            text, done, more = await asyncio.to_thread(_since, request, query, done)
            if text:
                yield text
            if more:
                continue
            try:
                if await asyncio.wait_for(queue.get(), stream.HEARTBEAT) is None:
                    return
            except TimeoutError:
                yield ": still here\n\n"
    finally:
        stream.tailer.leave(queue)


def _since(request: HttpRequest, query: shapes.Kinds, cursor: int) -> tuple[str, int, bool]:
    """(what to send, place in the stream after it, whether there is more)."""
    with current().desk() as desk:
        desk.wake()
        changed = desk.changes_since(cursor, limit=PAGE)
        if not changed:
            return "", cursor, False
        wanted = [listed for listed in changed if _fits(listed, query)]
        shown = seen(request, desk, wanted, query.purpose)
    end = changed[-1].change
    events = [_event(listed.change, alert) for listed, alert in zip(wanted, shown, strict=True)]
    if not wanted or wanted[-1].change != end:
        events.append(f"id: {end}\n\n")
    return "".join(events), end, len(changed) == PAGE


def _fits(listed: Listed, query: shapes.Kinds) -> bool:
    alert = listed.alert
    return (not query.rule or alert["rule"] in query.rule) and (not query.level or alert["level"] in query.level)


def _event(place: int, alert: dict[str, Any]) -> str:
    return f"id: {place}\nevent: alert\ndata: {json.dumps(alert, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _still_allowed(request: HttpRequest) -> bool:
    """Whether the key is not revoked, the session not ended, since the stream began."""
    if "Authorization" not in request.headers:
        return await stream.still_in(request)
    try:
        await sync_to_async(allowed)(request, Scope.ALERTS_READ)
    except HttpError:
        return False
    finally:
        await stream.give_back()
    return True
