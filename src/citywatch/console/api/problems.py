"""Errors as RFC 9457 problem details, wherever they come from: the tree of errors, the checks of input, Django."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from ninja import Schema
from ninja.errors import HttpError, ValidationError
from pydantic import Field

from citywatch.errors import (
    AlertError,
    CapacityError,
    CitywatchError,
    DiskFullError,
    MediaConflictError,
    MediaError,
    MediaTooLargeError,
    ProposalError,
    StoreError,
    UnknownAlertError,
    UnknownImageError,
    UnknownProposalError,
    UsageError,
)

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase
    from ninja import NinjaAPI

MEDIA_TYPE = "application/problem+json"

OURS = re.compile(r"/(api|polls)(/|$)")
"""Addresses for programs: there every error is a problem, also those that no router sees."""

_WATCHED = ("/healthz", "/metrics")
"""Addresses for programs whose own answers are no problems, whatever their status."""

STATUS: dict[type[CitywatchError], int] = {
    UnknownAlertError: 404,
    AlertError: 409,
    UnknownImageError: 404,
    UnknownProposalError: 404,
    ProposalError: 409,
    MediaConflictError: 409,
    MediaTooLargeError: 413,
    MediaError: 415,
    UsageError: 422,
    CapacityError: 429,
    DiskFullError: 507,
    StoreError: 503,
    CitywatchError: 500,
}
"""What each error of the tree is over HTTP; the nearest ancestor counts."""

RETRY_AFTER = 1
"""Seconds, with 429 and 503."""


class FieldProblem(Schema):
    """One thing that is wrong in what was sent."""

    where: str = Field(description="Which part: `body.code`, `query.from`.", examples=["body.outcome"])
    message: str


class Problem(Schema):
    """RFC 9457 problem details."""

    type: str = Field("about:blank", description="Always `about:blank`: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.", examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(description="What is wrong, here.")
    hint: str | None = Field(None, description="What to do next.")
    errors: list[FieldProblem] | None = Field(None, description="Each part of the input that is wrong (422).")


def documented(*statuses: int) -> dict[int, type[Problem]]:
    """For an operation's `response`: the problems it answers with. 400, 401, 403 and 422 stand there by themselves."""
    return dict.fromkeys(statuses, Problem)


def problem(
    status: int, detail: str, *, hint: str | None = None, errors: list[dict[str, str]] | None = None
) -> HttpResponse:
    """The answer to what went wrong."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail}
    body |= {name: value for name, value in (("hint", hint), ("errors", errors)) if value}
    response = HttpResponse(json.dumps(body, ensure_ascii=False) + "\n", status=status, content_type=MEDIA_TYPE)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="citywatch"'
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def from_error(error: CitywatchError) -> HttpResponse:
    """An error of the tree as a problem."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    at = f"{error.where}: " if error.where else ""
    return problem(status, f"{at}{error.what}", hint=error.hint)


def handle(api: NinjaAPI) -> None:
    """Let all errors in the API's operations become problems; what is none of these is a fault of ours: a 500."""
    handlers: dict[type[Exception], Callable[[Any], HttpResponse]] = {
        CitywatchError: from_error,
        HttpError: _from_http,
        ValidationError: _invalid,
        RequestDataTooBig: lambda _: problem(413, "What was sent is too large."),
        UnreadablePostError: lambda _: problem(400, "The body broke off."),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, _for_ninja(handler))


def _for_ninja(handler: Callable[[Any], HttpResponse]) -> Callable[[HttpRequest, Any], HttpResponse]:
    return lambda _, error: handler(error)


def _from_http(error: HttpError) -> HttpResponse:
    return problem(error.status_code, str(error))


def _invalid(error: ValidationError) -> HttpResponse:
    """What the checks of the input found, with the names that the sender used."""
    errors = [{"where": _where(found["loc"]), "message": str(found["msg"])} for found in error.errors]
    return problem(422, "; ".join(f"{found['where']}: {found['message']}" for found in errors), errors=errors)


def _where(parts: tuple[str | int, ...]) -> str:
    """`body.code`: without the name of the argument that takes the whole body or query."""
    source, *rest = parts
    return ".".join(str(part) for part in (source, *rest[1:])) if len(rest) > 1 else ".".join(map(str, parts))


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """An error that Django, or a guard before the API, has answered with a page, as a problem."""
    asked_by_program = OURS.match(request.path_info) or (request.path_info in _WATCHED and _is_page(response))
    if response.status_code < HTTPStatus.BAD_REQUEST or not asked_by_program or _is_problem(response):
        return response
    text = "" if response.streaming or not _is_plain(response) else response.content.decode().strip()  # type: ignore[attr-defined]  # has content when it does not stream
    replaced = problem(response.status_code, text or DETAILS.get(response.status_code, response.reason_phrase))
    for name in ("Allow", "Retry-After"):
        if name in response.headers:
            replaced[name] = response.headers[name]
    return replaced


DETAILS = {
    400: "The request is malformed, or was sent to another host name than this console's.",
    404: "Nothing is here; /api/v1/openapi.json says what there is.",
    405: "This address does not take that method; the header Allow names those that it takes.",
    500: "A fault of citywatch; its terminal says more.",
}


def _is_problem(response: HttpResponseBase) -> bool:
    return response.headers.get("Content-Type", "").startswith(MEDIA_TYPE)


def _is_page(response: HttpResponseBase) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/html")


def _is_plain(response: HttpResponseBase) -> bool:
    """A guard's own words, and not Django's page or ninja's two."""
    return response.headers.get("Content-Type", "").startswith("text/plain")


def middleware(get_response: Any) -> Any:
    """Stands outermost: what the layers below could not know to be asked by a program becomes a problem here."""
    if iscoroutinefunction(get_response):

        async def in_loop(request: HttpRequest) -> HttpResponseBase:
            return _as_problem(request, await get_response(request))

        return markcoroutinefunction(in_loop)

    def in_thread(request: HttpRequest) -> HttpResponseBase:
        return _as_problem(request, get_response(request))

    return in_thread


middleware.sync_capable = True  # type: ignore[attr-defined]  # how Django asks
middleware.async_capable = True  # type: ignore[attr-defined]  # how Django asks
