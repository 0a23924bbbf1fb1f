"""Alerts as the page shows them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from citywatch.alert import Level, State
from citywatch.console.access import Right
from citywatch.console.people import may
from citywatch.console.port import DeskPort
from citywatch.console.site import current
from citywatch.delivery import Standing
from citywatch.masking import masked
from citywatch.triage import Listed
from citywatch.wording import clock_time, place_in_words, position

LEVELS = [level.value for level in reversed(Level)]
STATES = [state.value for state in State]

_FIELDS_IN_HEAD = {"lat", "lon", "address", "street", "borough", "image_known"}


def around(request: HttpRequest) -> dict[str, Any]:
    """What every page needs: the version for addresses of static files, and who reads it."""
    auditor = partial(may, cast(User, request.user), Right.AUDITOR)
    return {"version": settings.CITYWATCH_VERSION, "zone": current().zone, "auditor": auditor}


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


SILENT = 10_000_000
"""Microseconds without a word from the engine after which it is said to stand still; it reports every two seconds."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the engine last said of itself. `lag` in seconds: how far its clock was behind real time.

    `unread` has how many records of each part of each log (address, part) were not read yet: by the engine, or by the
    consoles that a topic of alerts feeds.
    """

    running: bool
    counts: dict[str, int]
    waiting: int
    lag: float | None
    unread: dict[tuple[str, str], int]

    @property
    def known(self) -> bool:
        """Whether an engine has ever run here."""
        return bool(self.counts)


def engine_state(desk: DeskPort) -> EngineState:
    """The engine's state, from the status on the desk."""
    said = desk.status().get("engine") or {}
    age = desk.status_age("engine")
    running = age is not None and age < SILENT
    clock = said.get("clock")
    lag = max(time.time_ns() / 1e9 - age / 1e6 - clock / 1e6, 0.0) if running and age is not None and clock else None
    counts = {name: value for name, value in (said.get("counts") or {}).items() if isinstance(value, int)}
    logs = {**_lag(desk, "engine"), **_lag(desk, "feed")}
    unread = {(log, part): count for log, parts in logs.items() for part, count in parts.items()}
    return EngineState(running, counts, max(said.get("events", 0) - said.get("evaluated", 0), 0), lag, unread)


def _lag(desk: DeskPort, who: str) -> dict[str, dict[str, int]]:
    """What somebody has not read yet of logs, part by part; nothing where that was said too long ago."""
    age, said = desk.status_age(who), desk.status().get(who) or {}
    return dict(said.get("lag", {})) if age is not None and age < SILENT else {}


def undelivered(standings: Iterable[Standing]) -> list[str]:
    """Which notifiers could not tell people of alerts, as sentences; nothing while all are told."""
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        if standing.given_up or standing.failures:
            found.setdefault(standing.target.partition("/")[0], []).append(standing)
    return [_undelivered(name, them) for name, them in found.items()]


def _undelivered(name: str, standings: Sequence[Standing]) -> str:
    waiting, given_up = (sum(getattr(s, count) for s in standings) for count in ("waiting", "given_up"))
    return f"{name} could not be told of all alerts: {waiting:,} waiting, {given_up:,} given up."


def evidence_rows(alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each event of the evidence with its number on the map and its fields as text."""
    rows = []
    for number, event in enumerate(alert["evidence"], 1):
        data = event.get("data") or {}
        named = [data.get("address") or data.get("street"), data.get("borough")]
        place = ", ".join(str(name) for name in named if name)
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
