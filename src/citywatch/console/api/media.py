"""The door for images, and the way to look at one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import P, PathEx, QueryEx, Router, Schema, Status
from pydantic import Field

from citywatch.console.access import Scope
from citywatch.console.api.access import caller, needs
from citywatch.console.api.problems import documented, problem
from citywatch.console.port import GalleryPort
from citywatch.console.site import current

router = Router(tags=["images"])

ImageId = PathEx[str, P(max_length=256, description="The `image_id` of the violation that it belongs to.")]
Purpose = QueryEx[
    str, P(min_length=1, max_length=500, pattern=r"\S", description="Why you look at it; recorded with your name.")
]

TYPES = ("image/jpeg", "image/png", "image/webp")
_BINARY: Any = {"schema": {"type": "string", "format": "binary"}}
SENT: Any = {"requestBody": {"required": True, "content": dict.fromkeys(TYPES, _BINARY)}}
GIVEN: Any = {"responses": {200: {"description": "The image", "content": dict.fromkeys(TYPES, _BINARY)}}}


class KeptImage(Schema):
    """An image that is kept; it survives a power cut."""

    image_id: str
    type: str = Field(description="Told by its content, whatever was said.", examples=list(TYPES))
    width: int = Field(description="Pixels, upright.", ge=1)
    height: int = Field(ge=1)
    bytes: int = Field(description="Of what is kept: the picture without EXIF, comments and previews.", ge=1)


def _gallery() -> GalleryPort:
    gallery = current().gallery
    if gallery is None:
        raise RuntimeError("this site has no images")
    return gallery


@router.put(
    "/{path:image_id}",
    auth=needs(Scope.MEDIA_WRITE),
    response={202: KeptImage, **documented(409, 413, 415, 503, 507)},
    openapi_extra=SENT,
    summary="Send an image",
)
def put(request: HttpRequest, image_id: ImageId) -> HttpResponse | Status[dict[str, Any]]:
    """A JPEG, PNG or WebP for the violation that names this id, before the violation or after it.

    The same image again changes nothing; another one under the same id is a conflict, and the first stays.
    """
    gallery = _gallery()
    content = request.read(gallery.limit + 1)
    if len(content) > gallery.limit:
        return problem(413, f"The image has more than {gallery.limit:,} bytes.", hint="send it smaller")
    kept = gallery.receive(image_id, content)
    sizes = {"width": kept.width, "height": kept.height, "bytes": kept.size}
    return Status(202, {"image_id": image_id, "type": kept.type, **sizes})


@router.get(
    "/{path:image_id}",
    auth=needs(Scope.REVEAL),
    response={200: None, **documented(404, 503)},
    openapi_extra=GIVEN,
    summary="Look at an image",
)
def look(request: HttpRequest, image_id: ImageId, purpose: Purpose) -> HttpResponse:
    """The image; it may show plates and faces, so that this needs the right to see them, and is recorded."""
    kept = _gallery().find(image_id)
    with current().desk() as desk:
        desk.audit(caller(request).name, f"image {image_id}", purpose=purpose)
    return as_response(kept.read(), kept.type)


def as_response(content: bytes, type_: str) -> HttpResponse:
    """An image as a browser gets it: nothing in it is run, and nobody keeps it."""
    response = HttpResponse(content, content_type=type_)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Content-Disposition"] = "inline"
    response["Cache-Control"] = "no-store"
    return response
