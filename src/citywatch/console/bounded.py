"""No request is read further than the largest one that anything here takes: Django itself would read it to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citywatch.console.site import current

if TYPE_CHECKING:
    from asgiref.typing import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

PAGES = 16 << 20
"""Bytes of a body that is no image."""

_IMAGES = "/api/v1/media/"


class Bounded:
    """An ASGI application: answers 413 to what is too large, and lets everything else through."""

    def __init__(self, behind: ASGI3Application) -> None:
        self._behind = behind

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        limit = _limit(scope)
        if _said(scope) > limit:
            await _refuse(send, limit)
            return
        left = limit
        refused = False

        async def counted() -> ASGIReceiveEvent:
            nonlocal left, refused
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message["body"])
            if left < 0:
                refused = True
                return {"type": "http.disconnect"}
            return message

        await self._behind(scope, counted, send)
        if refused:
            await _refuse(send, limit)


def _limit(scope: HTTPScope) -> int:
    return current().largest_image if scope["path"].startswith(_IMAGES) else PAGES


def _said(scope: HTTPScope) -> int:
    """How long the body is said to be; 0 where nothing is said."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(said) if said.isdigit() else 0


async def _refuse(send: ASGISendCallable, limit: int) -> None:
    from citywatch.console.api.problems import problem  # noqa: PLC0415 - after Django's settings

    response = problem(413, f"The body is larger than {limit:,} bytes.", hint="send it smaller")
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": response.content, "more_body": False})
