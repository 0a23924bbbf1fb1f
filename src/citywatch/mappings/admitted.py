"""Types of events that the `when` of a shape can hold for: all others need not be read to be left out."""

from __future__ import annotations

import json
from typing import Any

import duckdb

Types = frozenset[str] | None
"""None: any."""


def admitted_types(when: str) -> Types:
    """Types of events outside of which `when` (SQL) never holds; None where it does not say."""
    with duckdb.connect() as con:
        ((text,),) = con.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [f"SELECT {when}\n"]).fetchall()
    tree = json.loads(text)
    return None if tree["error"] else _types(tree["statements"][0]["node"]["select_list"][0])


def _types(node: dict[str, Any]) -> Types:
    match node:
        case {"type": "CONJUNCTION_AND", "children": parts}:
            said = [types for types in map(_types, parts) if types is not None]
            return frozenset.intersection(*said) if said else None
        case {"type": "CONJUNCTION_OR", "children": parts}:
            alternatives = [_types(part) for part in parts]
            return None if None in alternatives else frozenset().union(*filter(None, alternatives))
        case {"type": "COMPARE_EQUAL", "left": {"column_names": ["type"]}, "right": value}:
            return _texts([value])
        case {"type": "COMPARE_IN", "children": [{"column_names": ["type"]}, *values]}:
            return _texts(values)
        case _:
            return None


def _texts(nodes: list[dict[str, Any]]) -> Types:
    """The texts that stand there; None when there is anything else."""
    texts = [node["literal"]["text"] for node in nodes if node.get("literal", {}).get("kind") == "STRING"]
    return frozenset(texts) if len(texts) == len(nodes) else None
