"""Why an alert was raised, in words a person reads at night."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from citywatch.event import payload
from citywatch.rules.model import Correlation, CorrelationType
from citywatch.settings import DAY, HOUR, MINUTE, SECOND

EVENT_WORDS = (
    "concat_ws(', ', 'plate ' || plate, 'code ' || violation_code, CASE WHEN needs_human THEN 'a human is needed' END,"
    " replace(label, '_', ' '), sensor_kind || coalesce(' ' || round(value, 2), '') || coalesce(' ' || unit, ''),"
    " 'person ' || person_id, array_to_string(behaviors, ', '), 'dangerosity ' || dangerosity,"
    " 'behaviour score ' || behavior_score, 'battery ' || round(battery, 1) || ' %', round(speed_kmh, 1) || ' km/h')"
)
"""SQL of what there is to say about a single event."""


_NOUNS = {
    "anpr.read": "reading",
    "camera.event": "detection",
    "device.status": "report",
    "drone.position": "report",
    "drone.violation": "violation",
    "person.report": "report",
    "sensor.reading": "reading",
    "ticket.issued": "ticket",
}
"""What an event of a type is called."""

_MANY = {"device_id": "devices", "person_id": "persons", "violation_code": "codes", "image_id": "images"}
"""What several different values of a field are called, where it is not the field's name with an s."""

_BARE = frozenset(("plate", "plate_state", "street", "address", "borough", "subject", "source", "id"))
"""Fields whose values say by themselves what they are."""


def span(duration: int) -> str:
    """A duration in microseconds as people say it: 4 min, 24 h, 30 d."""
    for unit, name, least in ((DAY, "d", 2), (HOUR, "h", 1), (MINUTE, "min", 1), (SECOND, "s", 1)):
        if duration >= least * unit and duration % unit == 0:
            return f"{duration // unit} {name}"
    return f"{duration / SECOND:g} s"


def reason(
    rule: Correlation, group: Mapping[str, Any], values: Mapping[str, Any], event: str | None, before: str | None
) -> str:
    """One line: the key, then what was found. `event`, `before`: data (JSON) of the match and first other event."""
    data = payload(event)
    who = ", ".join(_key(name, value, data) for name, value in group.items())
    what = _what(rule, values, data, payload(before))
    joint = " " if rule.type is CorrelationType.IMPOSSIBLE_TRAVEL else ": "
    return f"{who}{joint}{what}" if who else what


def _key(name: str, value: Any, data: Mapping[str, Any]) -> str:
    """A field of the key: `K1`, `precinct 61`, `drone 4`."""
    word = data.get("device_kind") or "device" if name == "device_id" else name.removesuffix("_id").replace("_", " ")
    text = "unknown" if value is None else str(value)
    return text if name in _BARE and value is not None else f"{word} {text}"


def _what(  # noqa: PLR0911 - one sentence a type
    rule: Correlation, values: Mapping[str, Any], event: Mapping[str, Any], before: Mapping[str, Any]
) -> str:
    within = span(rule.timespan)
    names = [name.replace("_", " ") for name in rule.base_names]
    match rule.type:
        case CorrelationType.EVENT_COUNT:
            return f"{_number(values['count'], _noun(rule))} within {within}"
        case CorrelationType.VALUE_COUNT:
            return f"{values['distinct']} different {_many(rule.field)} within {within}"
        case CorrelationType.TEMPORAL:
            return f"{' and '.join(names)} within {within}"
        case CorrelationType.TEMPORAL_ORDERED:
            return f"{', then '.join(names)} within {within}"
        case CorrelationType.ABSENCE:
            return f"{names[0]}, then no {names[1]} for {within}"
        case CorrelationType.FLATLINE:
            return f"no {_noun(rule)} for {within}"
        case CorrelationType.SPIKE:
            return (
                f"{_number(values['current'], _noun(rule))} within {within}, "
                f"{values['reference']} in the {within} before"
            )
        case CorrelationType.NEW_TERMS:
            return f"{_words(rule.field)}{_told(' ', event, rule.field)} for the first time in {within}"
        case CorrelationType.CHANGE:
            since = _told(" from ", before, rule.field)
            return f"{_words(rule.field)} changed{since}{_told(' to ', event, rule.field)}"
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


def _noun(rule: Correlation) -> str:
    """What the rule's events are called, where all of them are called the same."""
    nouns = {_NOUNS.get(type_, "event") for base in rule.bases for type_ in base.types or ("",)}
    return nouns.pop() if len(nouns) == 1 else "event"


def _many(field: str | None) -> str:
    return _MANY.get(field or "", f"{_words(field)}s")


def _words(field: str | None) -> str:
    return (field or "").replace("_", " ")


def _told(preposition: str, data: Mapping[str, Any], field: str | None) -> str:
    """The value as the message has it; nothing where the field is not of `data`, as `subject`, or was worked out."""
    value = data.get(field or "")
    return "" if value is None else f"{preposition}{value}"


def _number(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
