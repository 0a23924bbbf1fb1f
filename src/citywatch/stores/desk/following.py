"""What receivers were told of alerts, and of which they have to be told again because the alert stands elsewhere now.

Everything here runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from citywatch.alert import Level, State
from citywatch.delivery import Envelope, Follow, Way
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.reading import _SELECT, _alert

SENT = "sent"

Due = Callable[[Way], int | None]
"""When the receiver of a delivery may be told again, µs UTC; None: it is not told again."""

_RANK = {level.value: rank for rank, level in enumerate(Level)}


def told_again(con: Connection, targets: Sequence[str], after: int, due: Due, now: int) -> int:
    """Let these receivers be told again of what changed after `after`; returns how many deliveries."""
    named = {f"target{number}": target for number, target in enumerate(targets)}
    listed = ", ".join(f":{name}" for name in named) or "NULL"
    again = _elsewhere(con, f"f.change > :after AND d.target IN ({listed})", {"after": after, "now": now} | named)
    return _let_be_told(con, again, due, now)


def write_down(con: Connection, envelope: Envelope, follow: Mapping[str, Follow], due: Due, now: int) -> None:
    """How the alerts of a message stood when it was sent; those that have changed since are told again."""
    told = [
        (_standing(alert, follow[route]), envelope.number, bytes.fromhex(alert["id"]))
        for alert, route in envelope.enclosed
        if follow[route] is not Follow.NOTHING
    ]
    con.executemany(
        "UPDATE deliveries SET told = ? WHERE message = ? AND fact = (SELECT n FROM facts WHERE id = ?)", told
    )
    if told:
        _let_be_told(con, _elsewhere(con, "d.message = :message", {"message": envelope.number, "now": now}), due, now)


def before_of(told: str) -> tuple[str, str]:
    """(state, level) of which a receiver was told; no level where that is not known any more."""
    state, _, level, _ = _parts(told)
    return state, level


def _parts(told: str) -> tuple[str, str, str, str]:
    """State, outcome, level and `Follow`; older desks have the first two."""
    state, outcome, level, follow = (*told.split("/"), "", "")[:4]
    return state, outcome, level, follow


def _elsewhere(con: Connection, wanted: str, params: dict[str, Any]) -> list[tuple[int, Way]]:
    """Deliveries that were made, of alerts that stand elsewhere by now than their receivers were told."""
    joined = "JOIN deliveries d ON d.fact = f.n JOIN messages m ON m.message = d.message"
    columns, tables = _SELECT.split("FROM", 1)
    rows = con.execute(
        f"{columns}, d.seq, d.told, d.target, d.route FROM{tables} {joined} "
        f"WHERE m.state = '{SENT}' AND d.told IS NOT NULL AND {wanted}",
        params,
    )
    return [
        (row["seq"], Way(row["target"], row["route"], row["level"] == Level.CRITICAL))
        for row in rows
        if _moved(row["told"], _alert(row))
    ]


def _let_be_told(con: Connection, deliveries: Iterable[tuple[int, Way]], due: Due, now: int) -> int:
    planned = [(at, at > now, way.urgent, seq) for seq, way in deliveries if (at := due(way)) is not None]
    con.executemany("UPDATE deliveries SET message = NULL, due = ?, held = ?, urgent = ? WHERE seq = ?", planned)
    return len(planned)


def _standing(alert: Mapping[str, Any], follow: Follow) -> str:
    return f"{alert['state']}/{alert['outcome'] or ''}/{alert['level']}/{follow}"


def _moved(told: str, alert: Mapping[str, Any]) -> bool:
    """Whether an alert stands elsewhere than a receiver was `told`, as far as the receiver wants to know."""
    state, outcome, level, follow = _parts(told)
    if follow == Follow.OUTCOME:
        ended = (state == State.CLOSED, outcome) != (alert["state"] == State.CLOSED, alert["outcome"] or "")
        return ended or _RANK[alert["level"]] > _RANK[level]
    return (state, outcome) != (alert["state"], alert["outcome"] or "") or level not in ("", alert["level"])
