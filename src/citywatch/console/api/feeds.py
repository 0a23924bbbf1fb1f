"""Feeds: the latest alerts in forms that other programs know."""

from __future__ import annotations

import json
import time

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router

from citywatch import geojson
from citywatch.console.access import Scope
from citywatch.console.api.access import needs
from citywatch.console.api.alerts import seen
from citywatch.console.api.shapes import Kinds
from citywatch.console.site import current
from citywatch.settings import HOUR
from citywatch.triage import Choice

router = Router(tags=["feeds"])


class FeedQuery(Kinds):
    """Which alerts the feed holds."""

    hours: int = Field(24, ge=1, le=24 * 31, description="Alerts first seen in so many hours.")
    limit: int = Field(1000, ge=1, le=5000, description="At most so many, the latest.")


@router.get("/alerts.geojson", auth=needs(Scope.ALERTS_READ), summary="The latest alerts as GeoJSON")
def geojson_feed(request: HttpRequest, query: Query[FeedQuery]) -> HttpResponse:
    """A FeatureCollection of the latest alerts of stable rules as they are now, for maps; masked without `purpose`."""
    now = time.time_ns() // 1000
    since = now - query.hours * HOUR
    choice = Choice(statuses=("stable",), rules=query.rule, levels=query.level, since=since)
    with current().desk() as desk:
        desk.wake()
        shown = seen(request, desk, desk.newest(choice, limit=query.limit), query.purpose)
    features = [geojson.feature(alert, request.build_absolute_uri(f"/alerts/{alert['id']}")) for alert in shown]
    body = json.dumps(geojson.collection(features, now), ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(body, content_type=geojson.MEDIA_TYPE)
