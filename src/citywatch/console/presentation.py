"""Alerts as the page shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from citywatch.alert import Level, State
from citywatch.console.port import DeskPort
from citywatch.console.site import current
from citywatch.masking import masked
from citywatch.triage import Listed
from citywatch.wording import clock_time, place_in_words, position

LEVELS = [level.value for level in reversed(Level)]
STATES = [state.value for state in State]

_FIELDS_IN_HEAD = {"lat", "lon", "address", "street", "borough"}


def around(_request: HttpRequest) -> dict[str, Any]:
    """What every page needs: the version for addresses of static files."""
    return {"version": settings.CITYWATCH_VERSION, "zone": current().zone}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list."""

    alert: dict[str, Any]
    place: str
    reopened: bool
    quiet: bool

    @property
    def id(self) -> str:
        """The full id."""
        return str(self.alert["id"])


def row(listed: Listed) -> Row:
    """The line of an alert, masked."""
    alert = masked(listed.alert)
    return Row(alert, place_in_words(alert), listed.reopened, not listed.notified)


def engine_words(desk: DeskPort) -> dict[str, Any]:
    """What the engine says of itself, for the head of the page."""
    status = desk.status()
    return {
        "running": status.get("engine") == "running",
        "known": "engine" in status,
        "events": status.get("events"),
        "rejected": status.get("rejected"),
        "lag": status.get("lag_s"),
    }


def evidence_rows(alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each event of the evidence with its number on the map and its fields as text."""
    rows = []
    for number, event in enumerate(alert["evidence"], 1):
        data = event.get("data") or {}
        place = ", ".join(str(data[name]) for name in ("address", "street", "borough") if data.get(name))
        fields = [(name, _text(value)) for name, value in data.items() if name not in _FIELDS_IN_HEAD]
        where = position(data.get("lat"), data.get("lon"))
        rows.append({"number": number, "event": event, "place": place, "position": where, "fields": fields})
    return rows


def values(alert: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The key and the computed values of an alert as (name, text)."""
    return [(name, _text(value)) for name, value in {**alert["group"], **alert["values"]}.items()]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def local(iso: str) -> str:
    """A time of the contract's form in the city's words."""
    return clock_time(iso, current().zone)


def local_us(us: int) -> str:
    """Microseconds UTC in the city's words."""
    return local(datetime.fromtimestamp(us // 1_000_000).astimezone().isoformat())
