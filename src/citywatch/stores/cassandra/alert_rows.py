"""Alerts as rows: whole by id, and masked in each table that people look into.

When an alert grows, its first match, level or plates may change, and with them the keys under which it stands. The
row of `alerts` says where it stood, and is written last: a stop in between repeats what was done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from citywatch.alert import State
from citywatch.masking import masked, subjects
from citywatch.settings import SECOND
from citywatch.stores.cassandra.tables import BY_NAME, LAST_S, SLOTS

Row = tuple[Any, ...]
Key = tuple[Any, ...]

INDEXES = ("alerts_by_day", "alerts_by_rule", "alerts_by_plate")

_KEYS = {
    "alerts_by_day": ("day", "level", "slot", "first_seen", "id"),
    "alerts_by_rule": ("rule", "day", "slot", "first_seen", "id"),
    "alerts_by_plate": ("plate_hash", "month", "first_seen", "id"),
}
STATEMENTS = {
    name: f"INSERT INTO {{keyspace}}.{name} ({', '.join(BY_NAME[name].names)}) "
    f"VALUES ({', '.join('?' * len(BY_NAME[name].names))}) USING TTL ?"
    for name in (*INDEXES, "alerts")
}
DELETES = {
    name: f"DELETE FROM {{keyspace}}.{name} WHERE {' AND '.join(f'{column} = ?' for column in key)}"
    for name, key in _KEYS.items()
}
STANDING = "SELECT id, day, first_seen, level, rule, plate_hashes FROM {keyspace}.alerts WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides under which keys an alert stands. Times are cut to milliseconds, as Cassandra has them."""

    id: str
    day: date
    first_seen: datetime
    level: str
    rule: str
    plates: frozenset[str]

    @classmethod
    def of(cls, alert: Mapping[str, Any], hashed: Callable[[str], str]) -> Standing:
        """Where an alert is to stand."""
        seen = _moment(alert["first_seen"])
        plates = frozenset(hashed(value) for field, value in subjects(alert) if field == "plate")
        return cls(alert["id"], seen.date(), seen, alert["level"], alert["rule"], plates)

    @classmethod
    def read(cls, row: Any) -> Standing:
        """Where it stood, from a row of `STANDING`."""
        seen = row.first_seen.replace(tzinfo=UTC)
        return cls(row.id, row.day.date(), seen, row.level, row.rule, frozenset(row.plate_hashes or ()))

    def rows(self) -> Iterator[tuple[str, Key]]:
        """(table, key) of each row."""
        slot = int(self.id[0], 16) % SLOTS
        yield "alerts_by_day", (self.day, self.level, slot, self.first_seen, self.id)
        yield "alerts_by_rule", (self.rule, self.day, slot, self.first_seen, self.id)
        for plate in sorted(self.plates):
            yield "alerts_by_plate", (plate, self.day.replace(day=1), self.first_seen, self.id)


def rows_of(alert: Mapping[str, Any], standing: Standing, ttl: int) -> Iterator[tuple[str, Row]]:
    """(table, values of its statement) of one alert in the tables that people look into."""
    hidden = masked(alert)
    place = None if alert["lat"] is None or alert["lon"] is None else (alert["lat"], alert["lon"])
    known = {
        **{name: hidden[name] for name in ("rule", "title", "status", "level", "count", "state", "reason")},
        "last_seen": _moment(alert["last_seen"]),
        "position": place,
        "alert": json.dumps({**hidden, "evidence": len(hidden["evidence"])}, ensure_ascii=False),
    }
    for table, key in standing.rows():
        values = {**known, **dict(zip(_KEYS[table], key, strict=True))}
        yield table, (*(values[name] for name in BY_NAME[table].names), ttl)


def whole(alert: Mapping[str, Any], standing: Standing, ttl: int) -> Row:
    """The values of the statement of `alerts`."""
    line = json.dumps(alert, ensure_ascii=False, separators=(",", ":"))
    where = (standing.id, standing.day, standing.first_seen, standing.level, standing.rule, set(standing.plates))
    return (*where, line, ttl)


def seconds_left(alert: Mapping[str, Any], span: int | None, now: int) -> int:
    """How long an alert is still to be kept: 0 for ever, negative when it is due. As retention on the desk has it.

    What nobody has closed stays, unless its rule is only on trial.
    """
    on_trial = alert["state"] == State.OPEN and alert["status"] != "stable"
    if span is None or not (alert["state"] == State.CLOSED or on_trial):
        return 0
    touched = max(_moment(alert[name]).timestamp() for name in ("last_seen", "updated_at"))
    left = int(touched) + (span - now) // SECOND
    if left > LAST_S - now // SECOND:
        return 0
    return left if left > 0 else -1


def _moment(text: str) -> datetime:
    exact = datetime.fromisoformat(text)
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)
