"""Alerts as GeoJSON (RFC 7946), for maps: the same in files and over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from citywatch.wording import iso

MEDIA_TYPE = "application/geo+json"

_PROPERTIES = (
    *("id", "rule", "title", "level", "status", "group", "first_seen", "last_seen", "count", "late", "address"),
    *("reason", "values", "state", "outcome"),
)


def collection(features: Iterable[Mapping[str, Any]], at: int) -> dict[str, Any]:
    """A FeatureCollection that says when it was made (µs UTC)."""
    return {"type": "FeatureCollection", "updated": iso(at), "features": list(features)}


def feature(alert: Mapping[str, Any], link: str | None = None) -> dict[str, Any]:
    """An alert of the contract's form as a Feature; without a place its geometry is null."""
    place = None
    if alert["lat"] is not None and alert["lon"] is not None:
        place = {"type": "Point", "coordinates": [alert["lon"], alert["lat"]]}
    properties = {name: alert[name] for name in _PROPERTIES} | ({"link": link} if link else {})
    return {"type": "Feature", "id": alert["id"], "geometry": place, "properties": properties}
