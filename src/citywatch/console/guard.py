"""Who may ask what: hosts, origins, signed-in people, and the headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase

from citywatch.console.site import current

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def _both(before: Callable[[HttpRequest], HttpResponseBase | None], after: Callable[[HttpResponseBase], None]) -> Any:
    """A middleware for threads and for the event loop: `before` may answer instead of the view."""

    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def in_loop(request: HttpRequest) -> HttpResponseBase:
                response: HttpResponseBase = before(request) or await get_response(request)
                after(response)
                return response

            return markcoroutinefunction(in_loop)

        def in_thread(request: HttpRequest) -> HttpResponseBase:
            response: HttpResponseBase = before(request) or get_response(request)
            after(response)
            return response

        return in_thread

    middleware.sync_capable = True  # type: ignore[attr-defined]  # how Django asks
    middleware.async_capable = True  # type: ignore[attr-defined]  # how Django asks
    return middleware


def _nothing(_: Any) -> None:
    return None


def _add_headers(response: HttpResponseBase) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


FOREIGN = "This page belongs to another origin: it may not change anything here."


def is_foreign(request: HttpRequest) -> bool:
    """Whether a page of another origin asks for this."""
    origin = request.headers.get("Origin")
    same_host = origin is None or origin == current().address or urlsplit(origin).netloc == request.get_host()
    return not same_host or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _foreign_origin(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse a write that a page of another origin asks for (Django also checks its token)."""
    if request.method in ("GET", "HEAD", "OPTIONS") or not is_foreign(request):
        return None
    return HttpResponseForbidden(FOREIGN + "\n", "text/plain")


headers = _both(_nothing, _add_headers)
same_origin = _both(_foreign_origin, _nothing)
