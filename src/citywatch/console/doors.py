"""The doors for events, in the shortest way: what comes to them does not pass through Django's middleware.

Pages are made in threads, one after another, and the middleware goes through the same threads: behind it, a hundred
requests a second would wait for pages, and pages for them. The checks are the same ones: host, origin, key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from ninja.errors import AuthenticationError, AuthorizationError

from citywatch.console import guard
from citywatch.console.access import Scope
from citywatch.console.api.access import allowed
from citywatch.console.api.problems import problem
from citywatch.console.site import current

if TYPE_CHECKING:
    from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope
    from asgiref.typing import Scope as AnyScope

LARGEST = 16 << 20
"""Bytes of the largest body."""

TOO_LARGE = f"The body is larger than {LARGEST >> 20} MiB."
_SAID = ("content-type", "content-encoding", "citywatch-ordinals")
_PATHS = {
    "events": re.compile(r"/api/v1/events/?"),
    "ingest": re.compile(r"/api/v1/ingest/([^/]+)/?"),
    "receive_msg": re.compile(r"/polls/receive_msg/?"),
}


class _TooLargeError(Exception):
    pass


class _GoneError(Exception):
    pass


class Doors:
    """An ASGI application: what comes to a door is answered here, everything else by the application behind."""

    def __init__(self, behind: ASGI3Application) -> None:
        self._behind = behind

    async def __call__(self, scope: AnyScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        found = _door(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None or scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        try:
            response = await _answer(scope, receive, *found)
        except _GoneError:
            return
        await _send(response, send)


def _door(scope: HTTPScope) -> tuple[str, str] | None:
    for door, pattern in _PATHS.items():
        if match := pattern.fullmatch(scope["path"]):
            return door, "".join(match.groups())
    return None


async def _answer(scope: HTTPScope, receive: ASGIReceiveCallable, door: str, mapping: str) -> HttpResponse:
    request = ASGIRequest(scope, BytesIO())
    request.user = AnonymousUser()
    try:
        if refused := _refused_at_sight(request):
            return refused
        if current().door is None:  # before a key is looked up: on a server that takes one of few connections
            return _no_engine()
        if "Authorization" in request.headers:
            await sync_to_async(allowed, thread_sensitive=False)(request, Scope.EVENTS_WRITE)
        else:
            allowed(request, Scope.EVENTS_WRITE)
        return await handed_in(door, mapping, request.headers, await _body(request, receive))
    except AuthenticationError as error:
        return problem(401, str(error))
    except AuthorizationError as error:
        return problem(403, str(error))
    except _TooLargeError:
        return problem(413, TOO_LARGE, hint="send smaller batches")


def _refused_at_sight(request: ASGIRequest) -> HttpResponse | None:
    try:
        request.get_host()
    except DisallowedHost:
        return problem(400, "The request was sent to another host name than this console's.")
    return problem(403, guard.FOREIGN) if guard.is_foreign(request) else None


async def _body(request: ASGIRequest, receive: ASGIReceiveCallable) -> bytes:
    said = request.headers.get("Content-Length", "")
    if said.isdigit() and int(said) > LARGEST:
        raise _TooLargeError
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        parts.append(message["body"])
        size += len(message["body"])
        more = message["more_body"]
        if size > LARGEST:
            raise _TooLargeError
    return b"".join(parts)


async def handed_in(door: str, mapping: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    """The engine's answer to what came to a door."""
    ask = current().door
    if ask is None:
        return _no_engine()
    said = {name.lower(): value for name, value in headers.items()}
    said = {name: value for name, value in said.items() if name in _SAID or name.startswith("ce-")}
    status, content = await ask(door, unquote(mapping), said, body)
    if status >= 400:
        return problem(status, content["detail"], hint=content.get("hint"))
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(text, status=status, content_type="application/json")


def _no_engine() -> HttpResponse:
    return problem(503, "No engine belongs to this console.", hint="start one with `citywatch up`")


async def _send(response: HttpResponse, send: ASGISendCallable) -> None:
    for name, value in {**guard.HEADERS, "Cache-Control": "no-store"}.items():
        response.headers.setdefault(name, value)
    response.headers["Content-Length"] = str(len(response.content))
    headers: Any = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": response.content, "more_body": False})
