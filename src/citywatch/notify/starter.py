"""What a new file of routes begins with, and its schema for editors; made from the tables that the loader reads."""

from __future__ import annotations

from typing import Any

from citywatch.delivery import Follow
from citywatch.notify import NOTIFIERS, UNROUTED, notifier
from citywatch.notify.hours import PATTERN as HOURS_PATTERN
from citywatch.notify.options import RATE, REQUIRED
from citywatch.notify.routes import LEVELS, ROUTE_KEYS

SCHEMA_FILE = "routes.schema.json"

STARTER = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# Who is told of which alerts. It is read anew when it is saved; `citywatch notify list` shows it as it is understood,
# `citywatch notify test` sends a test alert to everybody in it.

# page: https://citywatch.example.org        # address of the console, for links in messages

notifiers:
  map: {{type: geojson, file: feeds/alerts.geojson}}
#  duty: {{type: webhook, url: "https://example.org/alerts", secret: {{env: DUTY_SECRET}}}}
#  mail: {{type: email, server: mail.example.org, from: citywatch@example.org, to: [duty@example.org],
#         user: citywatch, password: {{file: secrets/mail}}}}
#  alive: {{type: heartbeat, url: {{env: HEARTBEAT_URL}}, every: 1m}}

routes:
  - {{name: everything, to: map}}
#  - {{name: serious, at_least: high, to: [duty, mail], quiet: "23:00-06:00", follow: outcome}}
#  - {{name: schools, zone: school, hours: "mon-fri 07:00-16:00", to: duty}}
"""


def routes_schema() -> dict[str, Any]:
    """The JSON Schema of the file of routes."""
    kinds = [name for name in NOTIFIERS if name not in UNROUTED]
    words = {"type": ["string", "number"]}
    several = {"anyOf": [words, {"type": "array", "items": words}]}
    level = {"enum": list(LEVELS)}
    hours = {"type": "string", "pattern": HOURS_PATTERN}
    conditions: dict[str, Any] = {
        "name": words,
        "to": several,
        "level": {"anyOf": [level, {"type": "array", "items": level}]},
        "at_least": level,
        **dict.fromkeys(("rule", "zone", "precinct", "tags"), several),
        **{name: {"anyOf": [hours, {"type": "array", "items": hours}]} for name in ("hours", "quiet")},
        "follow": {"enum": list(Follow)},
        "reveal": words,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "citywatch routes",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "page": {"type": "string", "pattern": "^https?://"},
            "notifiers": {"type": "object", "additionalProperties": {"oneOf": [_notifier(kind) for kind in kinds]}},
            "routes": {"type": "array", "items": _object(_described(conditions), ["name", "to"])},
        },
    }


def _described(conditions: dict[str, Any]) -> dict[str, Any]:
    return {name: {**conditions[name], "description": meaning} for name, meaning in ROUTE_KEYS.items()}


def _notifier(kind: str) -> dict[str, Any]:
    made = notifier(kind)
    properties = {option.name: {**option.form.schema, "description": option.meaning} for option in made.OPTIONS}
    bound = {"at_most": RATE.schema} if made.RATE else {}
    needed = [option.name for option in made.OPTIONS if option.default is REQUIRED]
    return _object({"type": {"const": kind}, **bound, **properties}, ["type", *needed])


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}
