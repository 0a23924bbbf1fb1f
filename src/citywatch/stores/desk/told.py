"""Alerts as others tell them, one JSON object each (section 3 of the contract), back as the facts that they came from.

What people did with them elsewhere is not taken over: that is what this desk is for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from citywatch.alert import Level, facts_schema

if TYPE_CHECKING:
    import pyarrow as pa

_ID = re.compile("[0-9a-f]{64}")
_TEXTS = ("rule", "rule_id", "rule_version", "title", "level", "status")
_OPTIONAL = ("address", "reason")
_FLAGS = ("inconclusive", "silent")
_JSON = ("group", "values", "evidence")
_DEGREES = {"lat": 90, "lon": 180}


@dataclass(frozen=True, slots=True)
class Message:
    """A message and where it was, such as `citywatch.alerts/0` and its offset."""

    source: str
    line: int
    content: bytes


def facts_of(messages: Sequence[Message]) -> tuple[pa.Table, pa.Table]:
    """The facts in messages, and the messages that are no alerts, as the desk keeps rejected records."""
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

    rows, refused = [], []
    for message in messages:
        try:
            rows.append(_fact(json.loads(message.content)))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            refused.append(_rejected(message, error))
    kept = pa.Table.from_pylist(rows, schema=facts_schema())
    return kept, pa.Table.from_pylist(refused, schema=_rejected_schema())


def _fact(alert: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(alert, Mapping) or not _ID.fullmatch(str(alert["id"])):
        raise ValueError("it has no id of an alert")
    if alert.get("test"):
        raise ValueError("it is only a test")
    fact: dict[str, Any] = {name: _text(alert, name) for name in ("id", *_TEXTS)}
    Level(fact["level"])
    fact |= {name: _text(alert, name) if alert.get(name) is not None else None for name in _OPTIONAL}
    fact |= {name: _json(alert, name) for name in _JSON}
    fact |= {name: _time(alert, name) for name in ("first_seen", "last_seen")}
    fact |= {name: None if alert.get(name) is None else _degrees(alert, name) for name in ("lat", "lon")}
    flags = {"late": bool(alert["late"]), **{name: bool(alert.get(name, False)) for name in _FLAGS}}
    return {**fact, **flags, "count": _count(alert)}


def _text(alert: Mapping[str, Any], name: str) -> str:
    value = alert[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return _encodable(value)


def _encodable(text: str) -> str:
    text.encode()  # half of a character of two is none; it raises ValueError
    return text


def _json(alert: Mapping[str, Any], name: str) -> str:
    value = alert[name]
    fits = _is_list_of_objects(value) if name == "evidence" else isinstance(value, dict)
    if not fits:
        raise TypeError(f"{name} is of another shape")
    return _encodable(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _time(alert: Mapping[str, Any], name: str) -> datetime:
    time = datetime.fromisoformat(_text(alert, name))
    if time.tzinfo is None:
        raise ValueError(f"{name} has no offset")
    return time.astimezone(UTC)


def _degrees(alert: Mapping[str, Any], name: str) -> float:
    value = alert[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _DEGREES[name]:
        raise TypeError(f"{name} is no number of degrees")
    return float(value)


def _count(alert: Mapping[str, Any]) -> int:
    count = alert["count"]
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count < 1 << 62:
        raise TypeError("count is no number of events")
    return count


def _rejected(message: Message, error: Exception) -> dict[str, Any]:
    why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return {
        "id": hashlib.sha256(f"{message.source}\0{message.line}\0".encode() + message.content).hexdigest()[:32],
        "source": message.source,
        "line": message.line,
        "reason": f"no alert: {why}",
        "raw": message.content,
        "mapping": None,
        "received_at": datetime.now(UTC),
    }


def _rejected_schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

    text: pa.DataType = pa.string()
    time: pa.DataType = pa.timestamp("us", tz="UTC")
    names: dict[str, pa.DataType] = {"id": text, "source": text, "line": pa.int64(), "reason": text}
    return pa.schema({**names, "raw": pa.binary(), "mapping": text, "received_at": time})
