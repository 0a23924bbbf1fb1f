"""Alerts as section 3 of the contract writes them: facts and standing joined, as of now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from citywatch.alert import State
from citywatch.alert_line import Standing, alert_line
from citywatch.errors import UnknownAlertError
from citywatch.stores.desk.connection import Connection, Row, Rows
from citywatch.stores.desk.database import REMOVED, Database, last_change, now_us
from citywatch.triage import EVERY, Choice, Listed, Place

_STATE = "CASE WHEN s.fact IS NULL OR (s.state = 'shelved' AND s.until <= :now) THEN 'open' ELSE s.state END"

_JOINED = "facts f JOIN kinds k USING (kind) LEFT JOIN states s ON s.fact = f.n"

_TOUCHED = """max(f.updated_at, coalesce(s.updated_at, 0),
    CASE WHEN s.state = 'shelved' AND s.until <= :now THEN s.until ELSE 0 END)"""

_SELECT = f"""
SELECT f.*, k.*, s.outcome, s.assignee, s.until, s.version, s.reopened, {_STATE} AS state,
  {_TOUCHED} AS touched_at
FROM {_JOINED}
"""

_MEMBERS = {
    **{name: f"k.{name}" for name in ("rule", "rule_id", "rule_version", "title", "level", "status")},
    **{name: f"f.{name}" for name in ("id", "first_seen", "last_seen", "lat", "lon", "address", "reason")},
    "count": 'f."count"',
    "late": "CAST(f.late AS INTEGER)",
    "group": """coalesce(f."group", '{}')""",
    "values": """coalesce(f."values", '{}')""",
    "evidence": "coalesce(f.evidence, '[]')",
    "state": _STATE,
    "outcome": "s.outcome",
    "assignee": "s.assignee",
    "updated_at": _TOUCHED,
}
"""Member of an alert -> its SQL."""

_BY_TIME = _SELECT.replace("JOIN kinds", "CROSS JOIN kinds", 1)
"""The same, looked for among all alerts in their order, and not kind by kind: CROSS JOIN holds SQLite to that."""

_FEW = 20_000
"""So many alerts are sooner sorted than found among all others."""

_AT_ONCE = 8_192
"""Alerts without what they rest on."""

_WITH_EVIDENCE = 256
"""The same, with that: what is larger than the cache of a processor takes longer."""

_MOST_KINDS = 300
"""SQLite joins at most 500 selects in one statement."""


class Reading(Database):
    """The desk as it is read."""

    def lines(self, choice: Choice = EVERY, *, now: int | None = None) -> Iterator[str]:
        """The chosen alerts as lines of JSON, ordered by first_seen, id; one consistent view, row by row."""
        where, params = _where(choice)
        with self.reading() as con:
            rows = con.execute(f"{_SELECT} {where} ORDER BY f.first_seen, f.id", {**params, "now": now or now_us()})
            yield from map(_line, rows)

    def alerts(self, choice: Choice = EVERY, *, now: int | None = None) -> Iterator[dict[str, Any]]:
        """The same, as objects."""
        return map(json.loads, self.lines(choice, now=now))

    def columns(self, names: Sequence[str], *, now: int | None = None) -> Iterator[dict[str, Sequence[Any]]]:
        """The named members of all alerts, some at a time and in no order; times in µs UTC, objects as JSON texts."""
        listed = ", ".join(f'{_MEMBERS[name]} AS "{name}"' for name in names)
        with self.reading() as con:
            rows = con.execute(f"SELECT {listed} FROM {_JOINED}", {"now": now or now_us()})
            while found := rows.fetchmany(_WITH_EVIDENCE if "evidence" in names else _AT_ONCE):
                part: dict[str, Sequence[Any]] = dict(zip(names, zip(*found, strict=True), strict=True))
                if "id" in part:
                    part["id"] = [id_.hex() for id_ in part["id"]]
                yield part

    def newest(
        self, choice: Choice = EVERY, *, before: int | None = None, limit: int = 50, now: int | None = None
    ) -> list[Listed]:
        """The chosen alerts that came last, latest first; `before` (a `raised`) continues a list."""
        where, params = _where(choice, "f.raised < :before" if before is not None else None)
        params |= {"now": now or now_us(), "before": before, "limit": limit}
        kinds = self._kinds(choice)
        if kinds is not None:
            # The latest of each kind, by index: a few alerts that matter may lie under a million that do not.
            of_kind = f"SELECT f.n FROM {_JOINED} {where} AND f.kind = {{}} ORDER BY f.raised DESC LIMIT :limit"
            latest = " UNION ALL ".join(f"SELECT * FROM ({of_kind.format(kind)}) AS of_{kind}" for kind in kinds)
            where = f"WHERE f.n IN ({latest or 'NULL'})"
        rows = self._con.execute(f"{_SELECT} {where} ORDER BY f.raised DESC LIMIT :limit", params)
        return [_listed(row) for row in rows]

    def page(
        self, choice: Choice = EVERY, *, after: Place | None = None, limit: int = 100, now: int | None = None
    ) -> list[Listed]:
        """The chosen alerts by first_seen and id; `after` continues a list, also where alerts came in between."""
        kinds = self._kinds(choice)
        listed = ", ".join(map(str, kinds or ())) or "NULL"
        few = kinds is not None and self._alerts_of(kinds) < _FEW
        parts = [
            "(f.first_seen, f.id) > (:after_seen, :after_id)" if after else None,
            f"f.n IN (SELECT n FROM facts WHERE kind IN ({listed}))" if few else None,
        ]
        where, params = _where(choice, " AND ".join(part for part in parts if part) or None)
        params |= {"now": now or now_us(), "limit": limit}
        if after:
            params |= {"after_seen": after.first_seen, "after_id": bytes.fromhex(after.id)}
        rows = self._con.execute(
            f"{_SELECT if few else _BY_TIME} {where} ORDER BY f.first_seen, f.id LIMIT :limit", params
        )
        return [_listed(row) for row in rows]

    def _alerts_of(self, kinds: Sequence[int]) -> int:
        query = f"SELECT coalesce(sum(alerts), 0) FROM kinds WHERE kind IN ({', '.join(map(str, kinds)) or 'NULL'})"
        return int(self._con.execute(query).fetchone()[0])

    def _kinds(self, choice: Choice) -> list[int] | None:
        """Numbers of the kinds of alert that are chosen, or None where they are no shorter way to the alerts.

        That is so where every kind is chosen, only what somebody touched, or too many for one statement.
        """
        touched = choice.states and State.OPEN not in choice.states
        if touched or not (choice.rules or choice.levels or choice.statuses):
            return None
        where, params = _where(Choice(rules=choice.rules, levels=choice.levels, statuses=choice.statuses))
        kinds = [row[0] for row in self._con.execute(f"SELECT kind FROM kinds k {where}", params)]
        return kinds if len(kinds) <= _MOST_KINDS else None

    def alert(self, beginning: str, *, now: int | None = None) -> Listed:
        """The one alert whose id begins so; raises UnknownAlertError."""
        fact = resolve(self._con, beginning)
        return _listed(self._con.execute(f"{_SELECT} WHERE f.n = :n", {"n": fact, "now": now or now_us()}).fetchone())

    def last_change(self) -> int:
        """The end of the stream of changes."""
        return last_change(self._con)

    def changes_since(self, cursor: int, *, limit: int = 500, now: int | None = None) -> list[Listed]:
        """Alerts that changed in any way after `cursor`, in order of `change`; each once, as it is now."""
        query = f"{_SELECT} WHERE f.change > :cursor ORDER BY f.change LIMIT :limit"
        return [_listed(row) for row in self._stream(query, cursor, limit, now)]

    def lines_since(self, cursor: int, *, limit: int = 500, now: int | None = None) -> list[tuple[int, str, str]]:
        """(change, id, line of JSON) of the same; a line says too what was found in silence (`silent`)."""
        query = f"{_SELECT} WHERE f.change > :cursor ORDER BY f.change LIMIT :limit"
        rows = self._stream(query, cursor, limit, now)
        return [(row["change"], row["id"].hex(), _line(row, ("inconclusive", "silent"))) for row in rows]

    def raised_since(
        self, cursor: int, *, since: int | None = None, limit: int = 500, now: int | None = None
    ) -> list[Listed]:
        """Alerts that came, or came back, after `cursor`, in order of `raised`; `since` bounds first_seen."""
        bound = f"AND f.first_seen >= {int(since)}" if since is not None else ""
        query = f"{_SELECT} WHERE f.raised > :cursor {bound} ORDER BY f.raised LIMIT :limit"
        return [_listed(row) for row in self._stream(query, cursor, limit, now)]

    def _stream(self, query: str, cursor: int, limit: int, now: int | None) -> Rows:
        return self._con.execute(query, {"cursor": cursor, "limit": limit, "now": now or now_us()})

    def place_before(self, alerts: int) -> int:
        """The place in the stream from which on `alerts` alerts were raised."""
        query = "SELECT raised FROM facts ORDER BY raised DESC LIMIT 1 OFFSET ?"
        row = self._con.execute(query, [alerts]).fetchone()
        return int(row[0]) if row else 0

    def state_counts(self, statuses: Sequence[str] = (), *, now: int | None = None) -> dict[str, int]:
        """How many alerts of rules of these statuses (none: all) stand in each state.

        Quick however many there are, since nobody touched most of them.
        """
        chosen = {f"status{n}": status for n, status in enumerate(statuses)}
        of_status = f"k.status IN ({', '.join(f':{name}' for name in chosen)})" if chosen else "TRUE"
        params = {"now": now or now_us(), **chosen}
        touched = self._con.execute(
            f"SELECT {_STATE}, count(*) FROM states s CROSS JOIN facts f ON f.n = s.fact "
            f"CROSS JOIN kinds k USING (kind) WHERE {of_status} GROUP BY 1",
            params,
        )
        counts = {**dict.fromkeys((str(state) for state in State), 0), **dict(touched.fetchall())}
        total = self._con.execute(
            f"SELECT coalesce(sum(alerts - coalesce(value, 0)), 0) FROM kinds k "
            f"LEFT JOIN cursors ON name = '{REMOVED}' || kind WHERE {of_status}",
            params,
        )
        counts["open"] += total.fetchone()[0] - sum(counts.values())
        return counts

    def rules(self) -> list[str]:
        """Names of the rules that ever raised an alert."""
        return [row[0] for row in self._con.execute("SELECT DISTINCT rule FROM kinds WHERE alerts > 0 ORDER BY 1")]


def alert_at(con: Connection, fact: int) -> dict[str, Any]:
    """The alert with that number `n`, as it is now."""
    return _alert(con.execute(f"{_SELECT} WHERE f.n = :n", {"n": fact, "now": now_us()}).fetchone())


def resolve(con: Connection, beginning: str) -> int:
    """The number `n` of the only alert that begins so; raises UnknownAlertError."""
    text = beginning.strip().lower()
    if not re.fullmatch("[0-9a-f]{1,64}", text):
        raise UnknownAlertError(
            f"{beginning!r} is not the beginning of an alert's id", hint="see `citywatch alerts list`"
        )
    bounds = [bytes.fromhex(text.ljust(64, end)) for end in "0f"]
    found = con.execute("SELECT n FROM facts WHERE id BETWEEN ? AND ? LIMIT 2", bounds).fetchall()
    if len(found) == 1:
        return int(found[0][0])
    if found:
        raise UnknownAlertError(f"several alerts begin with {text}", hint="give more of the id")
    raise UnknownAlertError(f"no alert begins with {text}", hint="see `citywatch alerts list`")


def _where(choice: Choice, extra: str | None = None) -> tuple[str, dict[str, Any]]:
    params: dict[str, Any] = {}

    def one_of(name: str, expression: str, values: Sequence[str | bytes]) -> str | None:
        params.update(
            {f"{name}{i}": value if isinstance(value, bytes) else str(value) for i, value in enumerate(values)}
        )
        return f"{expression} IN ({', '.join(f':{name}{i}' for i in range(len(values)))})" if values else None

    params.update({"since": choice.since, "until": choice.until})
    touched = choice.states and State.OPEN not in choice.states
    parts = [
        one_of("id", "f.id", [bytes.fromhex(found) for found in choice.ids]),
        one_of("rule", "k.rule", choice.rules),
        one_of("level", "k.level", choice.levels),
        one_of("status", "k.status", choice.statuses),
        one_of("state", _STATE, choice.states),
        "f.n IN (SELECT fact FROM states)" if touched else None,
        "f.first_seen >= :since" if choice.since is not None else None,
        "f.first_seen < :until" if choice.until is not None else None,
        extra,
    ]
    conditions = " AND ".join(part for part in parts if part)
    return (f"WHERE {conditions}" if conditions else ""), params


def _line(row: Row, flags: Sequence[str] = ("inconclusive",)) -> str:
    standing = Standing(row["touched_at"], row["state"], row["outcome"], row["assignee"])
    return alert_line(row["id"].hex(), row, standing, flags)


def _alert(row: Row) -> dict[str, Any]:
    alert: dict[str, Any] = json.loads(_line(row))
    return alert


def _listed(row: Row) -> Listed:
    until = row["until"] if row["state"] == State.SHELVED else None
    return Listed(
        _alert(row),
        version=row["version"] or 0,
        change=row["change"],
        raised=row["raised"],
        notified=bool(row["notified"]),
        reopened=bool(row["reopened"]),
        until=until,
    )
