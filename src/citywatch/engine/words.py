"""Why an alert was raised, in words a person reads at night."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from citywatch.rules.model import Correlation, CorrelationType
from citywatch.settings import DAY, HOUR, MINUTE, SECOND

EVENT_WORDS = (
    "concat_ws(', ', 'plate ' || plate, 'code ' || violation_code, CASE WHEN needs_human THEN 'a human is needed' END,"
    " label, sensor_kind || coalesce(' ' || round(value, 2), '') || coalesce(' ' || unit, ''),"
    " array_to_string(behaviors, ', '), 'dangerosity ' || dangerosity, 'behaviour score ' || behavior_score,"
    " 'battery ' || round(battery, 1) || ' %', round(speed_kmh, 1) || ' km/h')"
)
"""SQL of what there is to say about a single event."""


def span(duration: int) -> str:
    """A duration in microseconds as people say it: 4 min, 2 h, 30 d."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if duration >= unit and duration % unit == 0:
            return f"{duration // unit} {name}"
    return f"{duration / SECOND:g} s"


def reason(rule: Correlation, group: list[Any], values: Mapping[str, Any], event: str, before: str | None) -> str:
    """One line: the key, then what was found. `event`, `before`: data (JSON) of the match and first other event."""
    who = ", ".join("unknown" if value is None else str(value) for value in group)
    what = _what(rule, values, event, before)
    joint = " " if rule.type is CorrelationType.IMPOSSIBLE_TRAVEL else ": "
    return f"{who}{joint}{what}" if who else what


def _what(  # noqa: PLR0911 - one sentence a type
    rule: Correlation, values: Mapping[str, Any], event: str, before: str | None
) -> str:
    within = span(rule.timespan)
    names = [name.replace("_", " ") for name in rule.base_names]
    match rule.type:
        case CorrelationType.EVENT_COUNT:
            return f"{_number(values['count'], 'event')} within {within}"
        case CorrelationType.VALUE_COUNT:
            return f"{values['distinct']} different {rule.field} within {within}"
        case CorrelationType.TEMPORAL:
            return f"{' and '.join(names)} within {within}"
        case CorrelationType.TEMPORAL_ORDERED:
            return f"{', then '.join(names)} within {within}"
        case CorrelationType.ABSENCE:
            return f"{names[0]} without {names[1]} for {within}"
        case CorrelationType.FLATLINE:
            return f"nothing for {within}"
        case CorrelationType.SPIKE:
            return (
                f"{_number(values['current'], 'event')} within {within}, {values['reference']} in the {within} before"
            )
        case CorrelationType.NEW_TERMS:
            return f"{rule.field} {_value(event, rule.field)} for the first time in {within}"
        case CorrelationType.CHANGE:
            return f"{rule.field} changed from {_value(before or '{}', rule.field)} to {_value(event, rule.field)}"
        case CorrelationType.DWELL:
            return f"there for {within} or longer"
        case CorrelationType.IMPOSSIBLE_TRAVEL:
            return _travel(values)


def _travel(values: Mapping[str, Any]) -> str:
    minutes, speed = values.get("minutes") or 0.0, values.get("speed_kmh")
    seen = f"seen {values.get('distance_km')} km apart"
    if speed is None:
        return f"{seen} at the same time"
    time = f"{minutes:.0f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"
    return f"{seen} within {time} ({speed:.0f} km/h)"


def _value(data: str, field: str | None) -> str:
    value = json.loads(data).get(field)
    return "nothing" if value is None else str(value)


def _number(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
