"""The doors for events. `console.doors` answers them before Django does; here they stand for the document."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from ninja import HeaderEx, P, PathEx, Router, Schema
from pydantic import Field

from citywatch.console.access import Scope
from citywatch.console.api.access import needs
from citywatch.console.api.problems import documented, problem
from citywatch.console.doors import LARGEST, TOO_LARGE, handed_in

router = Router(tags=["events"])
older = Router(tags=["events"])

WRITE = needs(Scope.EVENTS_WRITE)

ORDINALS = "Which records are not the first of their content in their file: `index:ordinal`, separated by blanks."
_PAIR = "[0-9]{1,18}:[0-9]{1,18}"

Ordinals = HeaderEx[
    str, P(alias="Citywatch-Ordinals", description=ORDINALS, examples=["0:1 7:2"], pattern=f"^({_PAIR}( +{_PAIR})*)?$")
]
Name = PathEx[str, P(description="Name of the mapping: see `citywatch mappings list`.")]


class Refused(Schema):
    """A record that was not accepted."""

    index: int = Field(description="Its number in the request, from 0.", ge=0)
    id: str | None = Field(description="Its id, where it has one that could be read.")
    reason: str


class Receipt(Schema):
    """What became of the records; what it acknowledges survives a power cut."""

    accepted: int = Field(description="New events.", ge=0)
    duplicates: int = Field(description="Events that were known: nothing was added.", ge=0)
    rejected: list[Refused] = Field(description="The others, each with its reason; they are kept and can be replayed.")


class Described(Schema):
    """Where the ids of a mapping's events come from."""

    mapping: str
    ids: str = Field(
        description="`natural`: from the messages; `content`: made of their content.", examples=["natural"]
    )


ANSWERS: Any = {202: Receipt, **documented(404, 413, 415, 429, 500, 503, 507)}
# What is wrong with an event is in the receipt and not a refusal of the request: the schemas refuse no event either.
_EVENT: dict[str, Any] = {
    "description": "A CloudEvents 1.0 object; the receipt says what is wrong with it.",
    "examples": [
        {
            "specversion": "1.0",
            "id": "17",
            "source": "drone/4",
            "type": "drone.violation",
            "time": "2026-05-01T12:00:00Z",
            "data": {"plate": "K1", "violation_code": 46},
        }
    ],
}
_OBJECTS: dict[str, Any] = {"type": ["object", "array"]}
_TEXT: dict[str, Any] = {"type": "string", "pattern": "[^\\t-\\r ]", "description": "Not blank."}


def _body(**kinds: Any) -> dict[str, Any]:
    content = {media.replace("__", "/"): {"schema": schema} for media, schema in kinds.items()}
    return {"requestBody": {"required": True, "content": content}}


EVENTS = _body(
    **{
        "application/cloudevents+json": {"type": "object", **_EVENT},
        "application/cloudevents-batch+json": {"type": "array", "items": _EVENT},
        "application/x-ndjson": _TEXT,
    }
)
MESSAGES = _body(**{"application/json": _OBJECTS, "application/x-ndjson": _TEXT, "text/csv": _TEXT})
_OLDER: dict[str, Any] = {
    **_OBJECTS,
    "description": "An object of the older site; the receipt says what is wrong with it.",
    "examples": [
        {
            "time": "2026-05-01 12:00:00",
            "address": "907 W 91st St",
            "plate_id": "K1",
            "violation_code": 46,
            "drone_id": 4,
        }
    ],
}
OLDER = _body(**{"application/json": _OLDER})


def _handed_in(request: HttpRequest, door: str, mapping: str = "") -> HttpResponse:
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return problem(413, TOO_LARGE, hint="send smaller batches")
    return async_to_sync(handed_in)(door, mapping, request.headers, body)


@router.post("/events", auth=WRITE, response=ANSWERS, openapi_extra=EVENTS, summary="Send events")
def events(request: HttpRequest) -> HttpResponse:
    """CloudEvents 1.0 in structured, batch or binary mode, or one a line.

    One bad event never refuses its neighbours. `received_at` is when they came.
    """
    return _handed_in(request, "events")


@router.post("/ingest/{mapping}", auth=WRITE, response=ANSWERS, openapi_extra=MESSAGES, summary="Send foreign messages")
def messages(
    request: HttpRequest,
    mapping: Name,
    citywatch_ordinals: Ordinals = "",  # noqa: ARG001 - for the document
) -> HttpResponse:
    """Messages of another shape through a mapping: JSON objects, an array of them, one a line, or CSV with a header."""
    return _handed_in(request, "ingest", mapping)


@router.get("/ingest/{mapping}", auth=WRITE, response={200: Described, **documented(404, 503)}, summary="Ask for ids")
def described(request: HttpRequest, mapping: Name) -> HttpResponse:
    """Where the ids of this mapping's events come from: whether a sender has to count identical records."""
    return async_to_sync(handed_in)("describe", mapping, request.headers, b"")


@older.post("/receive_msg", auth=WRITE, response=ANSWERS, openapi_extra=OLDER, summary="As the older site took alerts")
def receive_msg(request: HttpRequest) -> HttpResponse:
    """A message of the older site, as JSON or as the fields of a form: an event by the mapping `prestacop`."""
    return _handed_in(request, "receive_msg")
