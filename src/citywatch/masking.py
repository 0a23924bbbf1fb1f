"""Plates, names and faces out of an alert, for those who may not see them or have not said why they want to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from citywatch.event import FIELDS

SENSITIVE = ("plate", "person_id", "first_name", "last_name", "phone", "picture", "image_id")
"""Known fields that show who somebody is."""

Subject = tuple[str, str]
"""(field, value) of somebody or something that an alert shows: `("plate", "K1234")`."""

_SHOWN = {column.name for column in FIELDS} - set(SENSITIVE)

_NAMING = (*SENSITIVE, "subject")
"""Fields whose values are hidden in words: what an event is about may be a plate or a person."""

_IDENTITY = ("source", "id")
"""Which event it is: the key of a rule that has no other, as the evidence shows it."""

_OURS = (
    *("id", "rule", "rule_id", "rule_version", "level", "status", "first_seen", "last_seen", "state", "outcome"),
    "updated_at",
)
"""What citywatch itself says of an alert: no secret, even where it looks like one (there are plates OPEN and 2026)."""

DOTS = "•••"


def masked(alert: Mapping[str, Any]) -> dict[str, Any]:
    """The alert without plates, names and faces.

    Of what a message carried only the known fields stay (a foreign field may hold anything), the sensitive ones as
    dots; wherever their values stand in words (reason, title, address, ids) dots stand for them too.
    """
    secrets = _pattern(_places(alert))
    which = {name: alert["group"][name] for name in _IDENTITY if name in alert["group"]}
    hidden = {**alert, "group": which | _fields(alert["group"]), "values": _fields(alert["values"], known_only=False)}
    hidden["evidence"] = [{**event, "data": _fields(event.get("data") or {})} for event in alert["evidence"]]
    result: dict[str, Any] = _blot(hidden, secrets)
    result["evidence"] = [
        {**shown, "time": event["time"]} for shown, event in zip(result["evidence"], alert["evidence"], strict=True)
    ]
    return {**result, **{name: alert[name] for name in _OURS if name in alert}}


def without(words: Any, shown: Mapping[str, Any]) -> Any:
    """Words (or a mapping or list of them) that stand beside known fields, without what is sensitive in those."""
    return _blot(words, _pattern([shown]))


def words_about(alert: Mapping[str, Any], words: Any) -> Any:
    """What people wrote about an alert (as in `without`), without the plates and names that the alert itself hides."""
    return _blot(words, _pattern(_places(alert)))


def subject(field: str, value: Any) -> Subject:
    """As it is compared: a plate however it is spaced or cased, anything else however it is cased."""
    text = str(value).strip()
    return field, re.sub("[^A-Z0-9]", "", text.upper()) if field == "plate" else text.casefold()


def subjects(alert: Mapping[str, Any]) -> set[Subject]:
    """Who and what is hidden in an alert for those who may not see it."""
    found = (subject(name, data[name]) for data in _places(alert) for name in SENSITIVE if data.get(name) is not None)
    return {(field, value) for field, value in found if value}


def _fields(data: Mapping[str, Any], *, known_only: bool = True) -> dict[str, Any]:
    shown = {name: value for name, value in data.items() if name in _SHOWN or not known_only}
    return {**shown, **{name: DOTS for name in SENSITIVE if data.get(name) is not None}}


def _places(alert: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where an alert has fields of events."""
    return [alert["group"], alert["values"], *(event.get("data") or {} for event in alert["evidence"])]


def _secrets(places: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for data in places:
        yield from (str(data[name]) for name in _NAMING if data.get(name) is not None and str(data[name]).strip())


def _pattern(places: Iterable[Mapping[str, Any]]) -> re.Pattern[str] | None:
    """Matches what is secret in these fields, as whole words, however spaced, dashed or cased: `k-1 234` is K1234.

    An underscore ends a word, as in the name of an image.
    """
    secrets = set(_secrets(places))
    if not secrets:
        return None
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    either = "|".join(way for secret in longest_first for way in _ways(secret))
    return re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE)


def _ways(secret: str) -> Iterator[str]:
    """How a secret is written: as it is, and its letters and digits with some signs between, as in `(212) 555-0100`."""
    if not secret.isalnum():
        yield re.escape(secret)
    if letters := re.sub(r"[\W_]", "", secret):
        yield r"[\W_]{0,3}".join(letters)


def _blot(value: Any, secrets: re.Pattern[str] | None) -> Any:
    if secrets is None:
        return value
    if isinstance(value, str):
        return secrets.sub(DOTS, value)
    if isinstance(value, Mapping):
        return {name: _blot(inner, secrets) for name, inner in value.items()}
    if isinstance(value, list):
        return [_blot(inner, secrets) for inner in value]
    return value
