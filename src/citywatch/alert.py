"""The alert: levels, states and the changes that are allowed between them."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Level(StrEnum):
    """Sigma's levels, from least to most urgent."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class State(StrEnum):
    """Where an alert stands in a person's work (ISA-18.2, Alerta)."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    CLOSED = "closed"


class Outcome(StrEnum):
    """Why an alert was closed; apart from its state."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    CORRECTED = "corrected"
    DUPLICATE = "duplicate"


class Action(StrEnum):
    """What a person does with an alert."""

    ACK = "ack"
    ASSIGN = "assign"
    SHELVE = "shelve"
    CLOSE = "close"
    CORRECT = "correct"
    NOTE = "note"
    UNDO = "undo"


_CHANGES: dict[Action, State] = {
    Action.ACK: State.ACKNOWLEDGED,
    Action.ASSIGN: State.ACKNOWLEDGED,
    Action.SHELVE: State.SHELVED,
    Action.CLOSE: State.CLOSED,
    Action.CORRECT: State.CLOSED,
}

EVIDENCE_LIMIT = 20
"""At most so many events stand in an alert's evidence."""


def next_state(state: State, action: Action) -> State | None:
    """State after `action`, or None where the action is refused (HTTP 409). Undo is not a change of this table."""
    if action is Action.NOTE:
        return state
    if state is State.CLOSED or action is Action.UNDO:
        return None
    return _CHANGES[action]


@cache
def facts_schema() -> pa.Schema:
    """Arrow schema of what the engine says about alerts: one row per alert that is new or has grown.

    `group`, `values` and `evidence` are JSON texts. `silent`: about what came before the rule was loaded, never
    notified. `inconclusive`: the window of the match overlaps an outage.
    """
    import pyarrow as pa  # noqa: PLC0415 - the command line imports this module before it needs Arrow

    time: pa.DataType = pa.timestamp("us", tz="UTC")
    text: pa.DataType = pa.string()
    columns: dict[str, pa.DataType] = {
        "id": text,
        "rule": text,
        "rule_id": text,
        "rule_version": text,
        "title": text,
        "level": text,
        "status": text,
        "group": text,
        "first_seen": time,
        "last_seen": time,
        "count": pa.int64(),
        "late": pa.bool_(),
        "lat": pa.float64(),
        "lon": pa.float64(),
        "address": text,
        "reason": text,
        "values": text,
        "evidence": text,
        "inconclusive": pa.bool_(),
        "silent": pa.bool_(),
    }
    return pa.schema(columns)
