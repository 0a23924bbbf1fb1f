"""The alert as one line of JSON, as the contract writes it: the same from the desk and from Spark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from citywatch.alert import State
from citywatch.wording import iso

_WORDS = ("rule", "rule_id", "rule_version", "title", "level", "status")

_quoted = json.encoder.encode_basestring


class Standing(NamedTuple):
    """How people have dealt with an alert, and when it changed last (µs UTC)."""

    updated_at: int
    state: str = State.OPEN
    outcome: str | None = None
    assignee: str | None = None


def alert_line(id_: str, fact: Any, standing: Standing, flags: Sequence[str] = ("inconclusive",)) -> str:
    """One line without its end; what the engine wrote as JSON goes in as it is.

    `fact` has the columns of `alert.facts_schema()` under their names, times in µs UTC. `flags` are told where they are
    true.
    """
    words = ",".join(f'"{name}":{_quoted(fact[name])}' for name in _WORDS)
    told = "".join(f',"{name}":true' for name in flags if fact[name])
    return (
        f'{{"id":"{id_}",{words},"group":{fact["group"] or "{}"},'
        f'"first_seen":"{iso(fact["first_seen"])}","last_seen":"{iso(fact["last_seen"])}","count":{fact["count"]},'
        f'"late":{"true" if fact["late"] else "false"},"lat":{_number(fact["lat"])},"lon":{_number(fact["lon"])},'
        f'"address":{_text(fact["address"])},"reason":{_text(fact["reason"])},"values":{fact["values"] or "{}"},'
        f'"evidence":{fact["evidence"] or "[]"},"state":"{standing.state}","outcome":{_text(standing.outcome)},'
        f'"assignee":{_text(standing.assignee)},"updated_at":"{iso(standing.updated_at)}"{told}}}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else _quoted(value)


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)
