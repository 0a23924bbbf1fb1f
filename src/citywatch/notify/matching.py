"""Which routes an alert takes, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from citywatch.alert import Level
from citywatch.delivery import Follow, Planned, Way
from citywatch.notify.hours import Hours
from citywatch.notify.outbox import City
from citywatch.notify.route import Route, Routes
from citywatch.settings import SECOND

_RANK = {level.value: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What routes look at: an alert's words, where it was, and the city's local time at which it is decided."""

    rule: str
    level: str
    zones: Sequence[str]
    precinct: str | None
    tags: Sequence[str]
    local: datetime


def seen(alert: Mapping[str, Any], city: City, *, at: int) -> Seen:
    """An alert of the contract's form as routes see it at `at` (µs UTC)."""
    tags = city.tags(alert["rule"])
    return Seen(alert["rule"], alert["level"], city.zones(alert), _precinct(alert, city), tags, _local(at, city.zone))


def _local(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at / SECOND, UTC).astimezone(ZoneInfo(zone))


def _precinct(alert: Mapping[str, Any], city: City) -> str | None:
    """That of the first event in evidence that names one; else that of the alert's position."""
    said = ((event.get("data") or {}).get("precinct") for event in alert["evidence"])
    found = next((precinct for precinct in said if precinct is not None), None) or city.precinct(alert)
    return None if found is None else str(found)


def obstacles(route: Route, alert: Seen) -> Iterator[str]:
    """Why an alert does not take a route, each condition that fails in words; nothing: it takes it."""
    if route.level and alert.level not in route.level:
        yield f"its level is {alert.level}, not {_either(route.level)}"
    if route.at_least and _RANK[alert.level] < _RANK[route.at_least]:
        yield f"its level is {alert.level}, below {route.at_least}"
    if route.rule and not any(fnmatchcase(alert.rule, pattern) for pattern in route.rule):
        yield f"its rule is {alert.rule}, not {_either(route.rule)}"
    if route.zone and not set(route.zone) & set(alert.zones):
        yield f"it lies in {_either(alert.zones) or 'no zone'}, not in {_either(route.zone)}"
    if route.precinct and alert.precinct not in route.precinct:
        yield f"its precinct is {alert.precinct or 'unknown'}, not {_either(route.precinct)}"
    if route.tags and not set(route.tags) & set(alert.tags):
        yield f"its rule has {_either(alert.tags) or 'no tag'}, not {_either(route.tags)}"
    if route.hours and not route.hours.holds(alert.local):
        yield f"it is {_clock(alert.local)}, and the route is open {route.hours}"


def deliveries(fact: int, alert: Seen, routes: Routes, *, at: int) -> list[Planned]:
    """Who is to be told of an alert, each receiver once: by the route that tells it first."""
    chosen: dict[str, Planned] = {}
    urgent = alert.level == Level.CRITICAL
    for route in routes.routes:
        if any(obstacles(route, alert)):
            continue
        due = at if urgent else held_until(route.quiet, alert.local, at)
        for target in routes.receivers(route):
            if target not in chosen or due < chosen[target].due:
                chosen[target] = Planned(fact, target, route.name, urgent, due > at, due)
    return list(chosen.values())


def again(way: Way, routes: Routes, *, at: int, zone: str) -> int | None:
    """When a receiver may be told again of an alert that stands elsewhere now, µs UTC; None: it is not."""
    if routes.follow(way.target, way.route) is Follow.NOTHING:
        return None
    route = routes.route(way.route)
    return at if way.urgent or route is None else held_until(route.quiet, _local(at, zone), at)


def held_until(quiet: Hours | None, local: datetime, at: int) -> int:
    """When quiet hours end, µs UTC; `at` itself outside of them."""
    end = quiet.end_of(local) if quiet else None
    return at if end is None else max(at, int(end.astimezone(UTC).timestamp()) * SECOND)


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


def _clock(local: datetime) -> str:
    return local.strftime("%a %H:%M").lower()
