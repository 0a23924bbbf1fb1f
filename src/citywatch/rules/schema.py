"""The JSON Schema of a rule, for editors; made from the tables that the loader reads."""

from __future__ import annotations

from typing import Any

from citywatch.rules.language import COMMON, RULE, SHAPES
from citywatch.rules.model import CorrelationType

URL = "https://json-schema.org/draft/2020-12/schema"


def rule_schema() -> dict[str, Any]:
    """The schema of one YAML document."""
    schema = RULE.schema()
    correlation = schema["properties"]["correlation"]
    correlation["allOf"] = [_when(kind) for kind in CorrelationType]
    suppression = schema["properties"]["suppression"]
    schema["allOf"] = [
        {
            "if": {"required": ["correlation"]},
            "then": {"properties": {"suppression": {"properties": {"group-by": False}}}},
            "else": {"properties": {"suppression": {"required": ["duration", "group-by"]}}},
        },
        {
            "if": {"properties": {"correlation": {"required": ["rules"]}}, "required": ["correlation"]},
            "then": {"properties": {"logsource": False, "where": False}},
        },
    ]
    suppression["minProperties"] = 1
    return {"$schema": URL, "title": "citywatch rule", **schema}


def _when(kind: CorrelationType) -> dict[str, Any]:
    """What a correlation of one type must and may have."""
    shape = SHAPES[kind]
    least, most = shape.rules or (0, 64)
    names = [*COMMON, *shape.required, *shape.optional]
    then: dict[str, Any] = {"required": list(shape.required), "propertyNames": {"enum": names}}
    if most == 0:
        then["properties"] = {"rules": False}
    elif least:
        then["required"].append("rules")
        then["properties"] = {"rules": {"minItems": least, "maxItems": most}}
    then["description"] = shape.meaning
    return {"if": {"properties": {"type": {"const": kind.value}}, "required": ["type"]}, "then": then}
