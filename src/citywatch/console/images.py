"""The images of an alert's evidence: for who has said why they look, for the ten minutes that this lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.http import require_safe

from citywatch.console.reveals import is_revealed
from citywatch.console.site import current
from citywatch.errors import MediaError, UnknownAlertError

HIDDEN = "Say first for which purpose you look.\n"


def with_images(rows: Sequence[dict[str, Any]], alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of evidence with `image`: `here`, `awaited`, or None where the event names none."""
    ids = [_image_id(event) for event in alert["evidence"]]
    gallery = current().gallery
    here = gallery.known([image for image in ids if image]) if gallery else set()
    states = [None if image is None else "here" if image in here else "awaited" for image in ids]
    return [{**row, "image": state} for row, state in zip(rows, states, strict=True)]


def _image_id(event: Mapping[str, Any]) -> str | None:
    found = (event.get("data") or {}).get("image_id")
    return found if isinstance(found, str) and found else None


@require_safe
def of_evidence(request: HttpRequest, alert: str, number: int) -> HttpResponse:
    """The image that the event of that number, from 1, names."""
    with current().desk() as desk:
        try:
            found = desk.alert(alert).alert
        except UnknownAlertError as error:
            raise Http404(str(error)) from error
        if not is_revealed(request, found["id"]):
            return HttpResponseForbidden(HIDDEN, "text/plain")
        evidence = found["evidence"][number - 1 : number]
        image = _image_id(evidence[0]) if evidence else None
        desk.audit(cast(User, request.user).get_username(), "image", alert=found["id"])
    return shown(image)


def shown(image_id: str | None) -> HttpResponse:
    """An image as a page shows it; 404 where there is none."""
    from citywatch.console.api.media import as_response  # noqa: PLC0415 - the API imports what pages need, too

    gallery = current().gallery
    if image_id is None or gallery is None:
        raise Http404("there is no image")
    try:
        kept = gallery.find(image_id)
    except MediaError as error:
        raise Http404(str(error)) from error
    return as_response(kept.read(), kept.type)
