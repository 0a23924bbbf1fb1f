"""Alerts and messages as notifiers are handed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from citywatch.delivery import Kind
from citywatch.notify.message import Message
from citywatch.settings import SECOND
from tests.unit.desk.facts import alert_id

NOW = 1_777_636_800 * SECOND
"""2026-05-01T12:00:00Z."""

ZONE = "America/New_York"


def alert(name: int | str = 1, **told: Any) -> dict[str, Any]:
    event = {
        "source": "drone/4",
        "id": "17",
        "type": "drone.violation",
        "time": "2026-05-01T12:00:00.000000Z",
        "data": told.pop("data", {"plate": "GZH7067", "violation_code": 38, "address": "1316 Madison Ave"}),
    }
    return {
        "id": alert_id(name),
        "rule": "cloned_plate",
        "rule_id": "6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11",
        "rule_version": "v1",
        "title": "Same plate too far apart",
        "level": "high",
        "status": "stable",
        "group": {"plate": "GZH7067"},
        "first_seen": "2026-05-01T12:00:00.000000Z",
        "last_seen": "2026-05-01T12:04:00.000000Z",
        "count": 1,
        "late": False,
        "lat": 40.7484,
        "lon": -73.9857,
        "address": None,
        "reason": "GZH7067 seen 31.2 km apart",
        "values": {},
        "evidence": [event],
        "state": "open",
        "outcome": None,
        "assignee": None,
        "updated_at": "2026-05-01T12:04:00.000000Z",
        **told,
    }


def message(*alerts: dict[str, Any], **told: Any) -> Message:
    """A message about one alert, or a digest of several."""
    given: Sequence[dict[str, Any]] = alerts or (alert(),)
    single = len(given) == 1
    rules: dict[str, int] = {}
    for one in given:
        rules[one["rule"]] = rules.get(one["rule"], 0) + 1
    settings: dict[str, Any] = {
        "key": given[0]["id"] if single else "5f" * 16,
        "kind": Kind.ALERT if single else Kind.DIGEST,
        "alerts": given,
        "total": len(given),
        "rules": rules,
        "zone": ZONE,
        "at": NOW,
    }
    return Message(**{**settings, **told})
