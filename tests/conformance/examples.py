"""Reads `examples/*.yaml` (their README says how they are written) into cases with expected alerts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.cases import Case, Document, Item, when
from tests.oracle import Settings, duration, instant

BASE = instant("2024-01-08T12:00:00Z")
HERE = Path(__file__).parent / "examples"
_OWN = {"at", "received", "time", "no_time", "id", "source", "type", "subject"}


@dataclass(frozen=True)
class Example:
    """A sentence of the contract, a case, and what must come of it. Times of `alerts` are microseconds."""

    name: str
    case: Case
    alerts: frozenset[tuple[Any, ...]]
    """(rule, group, first_seen, last_seen, count, late, evidence)"""
    places: Mapping[str, tuple[float, float]]
    counts: Mapping[str, int]
    file: str
    """Stem of the file that it stands in."""


def examples() -> Iterator[Example]:
    """All examples, in the order of files and lines."""
    for file in sorted(HERE.glob("*.yaml")):
        for entry in yaml.safe_load(file.read_text("utf-8")):
            yield _example(entry, file.stem)


def document(given: Mapping[str, Any]) -> Document:
    """A rule document with what every rule needs, filled in where absent."""
    name = given.get("name", "r")
    head = {"title": name, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "name": name}
    return {**head, "status": "experimental", "level": "low", **given}


def offset(text: str) -> int:
    """A sum of durations, such as `1m+30s-1us`, in microseconds."""
    terms = re.findall(r"([+-]?)(\d+)(us|[smhdw])", text)
    if "".join(map("".join, terms)) != text:
        raise ValueError(f"no sum of durations: {text!r}")
    return sum((-1 if sign else 1) * _size(number, unit) for sign, number, unit in _signed(terms))


def _signed(terms: list[tuple[str, str, str]]) -> Iterator[tuple[bool, str, str]]:
    return ((sign == "-", number, unit) for sign, number, unit in terms)


def _size(number: str, unit: str) -> int:
    return int(number) if unit == "us" else duration(number + unit)


def _example(entry: Mapping[str, Any], file: str) -> Example:
    limits: Any = {name: offset(text) for name, text in entry.get("settings", {}).items()}
    settings = replace(Settings(lists=entry.get("lists", {}), polygons=entry.get("zones", {})), **limits)
    case = Case(
        rules=tuple(document(rule) for rule in entry["rules"]),
        items=tuple(_item(number, event) for number, event in enumerate(entry["events"], 1)),
        settings=settings,
        clock=BASE + offset(entry["clock"]) if "clock" in entry else None,
    )
    return Example(
        name=entry["name"],
        case=case,
        alerts=frozenset(_expected(alert) for alert in entry["alerts"]),
        places={a.get("rule", "r"): (a["lat"], a["lon"]) for a in entry["alerts"] if "lat" in a},
        counts=entry.get("counts", {}),
        file=file,
    )


def _item(number: int, event: Mapping[str, Any]) -> Item:
    if "tick" in event:
        return {"tick": BASE + offset(event["tick"])}
    record: dict[str, Any] = {"specversion": "1.0", "id": event.get("id", str(number))}
    record |= {"source": event.get("source", "s"), "type": event.get("type", "anpr.read")}
    if not event.get("no_time"):
        record["time"] = event.get("time", when(BASE + offset(event["at"])))
    record["receivedat"] = when(BASE + offset(event["received"])) if "received" in event else record["time"]
    return record | {"data": {name: value for name, value in event.items() if name not in _OWN}}


def _expected(alert: Mapping[str, Any]) -> tuple[Any, ...]:
    first = BASE + offset(alert["at"])
    last = BASE + offset(alert["last"]) if "last" in alert else first
    evidence = tuple(tuple(e) if isinstance(e, list) else ("s", e) for e in alert["evidence"])
    group = tuple(alert.get("group", {}).items())
    return (alert.get("rule", "r"), group, first, last, alert.get("count", 1), alert.get("late", False), evidence)
