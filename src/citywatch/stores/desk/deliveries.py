"""Deliveries: who is to be told of which alert, what was put into which message, and how the receivers stand.

A row is made once for each alert and receiver, together with the cursor that says how far planning got. What goes into
a message is written down before the message is sent: after a kill the same message is sent again, under the same key.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from citywatch.alert import Level
from citywatch.delivery import Envelope, Follow, Kind, Planned, Room, Standing
from citywatch.stores.desk.connection import Connection, Row
from citywatch.stores.desk.database import Database, last_change, now_us, set_cursor
from citywatch.stores.desk.following import SENT, Due, before_of, told_again, write_down
from citywatch.stores.desk.reading import _SELECT, _alert, resolve

CURSOR = "deliveries"
FOLLOWED = "followed"
"""How far in the stream of changes it was looked for alerts whose receivers have to be told again."""

WAITING, GIVEN_UP = "waiting", "given_up"

_SEVERITY = "CASE k.level " + " ".join(f"WHEN '{level}' THEN {-n}" for n, level in enumerate(Level)) + " END"

_ALL = 1 << 62

_UNPLACED = "target = ? AND urgent = ? AND message IS NULL AND due <= ?"
_FRESH = f"{_UNPLACED} AND told IS NULL"
_CHANGED = f"{_UNPLACED} AND told IS NOT NULL"
"""Told before, and to be told again."""

_CHANGES = (Kind.UPDATE, Kind.CHANGES)
_FOLLOWS = (Kind.ALERT, Kind.BATCH, *_CHANGES)
"""Who read of an alert in a digest among others is not told of it again."""


class Deliveries(Database):
    """What is delivered, by one deliverer at a time."""

    def to_plan(self, limit: int = 500, *, now: int | None = None) -> list[tuple[int, dict[str, Any]]]:
        """(number, alert) of the alerts to notify for which nobody has decided yet who is told."""
        rows = self._con.execute(
            f"{_SELECT} WHERE f.notified AND f.n > :after ORDER BY f.n LIMIT :limit",
            {"after": self.cursor(CURSOR), "limit": limit, "now": now or now_us()},
        )
        return [(row["n"], _alert(row)) for row in rows]

    def plan(self, planned: Sequence[Planned], *, upto: int, now: int | None = None) -> None:
        """Write down who is told, and that it is decided `now` for all alerts up to number `upto`."""
        after, now = self.cursor(CURSOR), now_us() if now is None else now
        rows = [(p.fact, p.target, p.route, p.urgent, p.held, p.due) for p in planned]
        with self.transaction() as con:
            con.executemany(
                "INSERT INTO deliveries (fact, target, route, urgent, held, due) VALUES (?,?,?,?,?,?) "
                "ON CONFLICT DO NOTHING",
                rows,
            )
            con.execute("INSERT INTO decided VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [upto, after, now])
            set_cursor(con, CURSOR, upto)

    def risen(self, *, now: int | None = None) -> list[tuple[int, dict[str, Any]]]:
        """(number, alert) of the alerts whose level has risen since it was decided who is told."""
        rows = self._con.execute(f"{_SELECT} WHERE f.n IN (SELECT fact FROM risen)", {"now": now or now_us()})
        return [(row["n"], _alert(row)) for row in rows]

    def plan_risen(self, planned: Sequence[Planned], facts: Sequence[int]) -> None:
        """Write down who else is told of alerts whose level has risen, or sooner than it was planned."""
        rows = [(p.fact, p.target, p.route, p.urgent, p.held, p.due) for p in planned]
        with self.transaction() as con:
            con.executemany(
                "INSERT INTO deliveries (fact, target, route, urgent, held, due) VALUES (?,?,?,?,?,?) "
                "ON CONFLICT (fact, target) DO UPDATE SET urgent = excluded.urgent, held = excluded.held, "
                "due = excluded.due WHERE deliveries.message IS NULL AND excluded.due < deliveries.due",
                rows,
            )
            con.executemany("DELETE FROM risen WHERE fact = ?", [(fact,) for fact in facts])

    def follow(self, targets: Sequence[str], due: Due, *, now: int | None = None) -> int:
        """Let these receivers be told again of alerts that stand elsewhere than they were told; returns how many."""
        now = now_us() if now is None else now
        after, upto = self.cursor(FOLLOWED), last_change(self._con)
        if upto == after:
            return 0
        with self.transaction() as con:
            again = told_again(con, targets, after, due, now)
            set_cursor(con, FOLLOWED, upto)
        return again

    def compose(self, target: str, room: Room, *, bundle: int = 1, now: int | None = None) -> None:
        """Put what is due for a receiver into messages: single ones while there is room, the rest into one digest.

        `bundle` is how many alerts a message holds when there is no bound on messages.
        """
        now = now_us() if now is None else now
        if not any(self._due(self._con, _UNPLACED, target, urgent, now) for urgent in (True, False)):
            return
        with self.transaction() as con:
            for urgent, left in ((True, room.urgent), (False, room.others)):
                if left is None:
                    while _enclose(con, Kind.BATCH if bundle > 1 else Kind.ALERT, target, urgent, now, limit=bundle):
                        pass
                else:
                    self._within(con, target, urgent, left, now, together=room.together)

    def _within(self, con: Connection, target: str, urgent: bool, room: int, now: int, *, together: bool) -> None:
        if self._due(con, f"{_FRESH} AND held", target, urgent, now) > 1 and room:
            _enclose(con, Kind.QUIET, target, urgent, now, which=f"{_FRESH} AND held")
            room -= 1
        waiting = self._due(con, _FRESH, target, urgent, now)
        for _ in range(waiting if waiting <= room else room - 1):
            _enclose(con, Kind.ALERT, target, urgent, now, limit=1, which=_FRESH)
        if waiting > room > 0:
            _enclose(con, Kind.DIGEST, target, urgent, now, which=_FRESH)
        room, changed = room - waiting, self._due(con, _CHANGED, target, urgent, now)
        if together and changed > 1 and room > 0:
            several = changed > room or self._due(con, f"{_CHANGED} AND held", target, urgent, now)
            changed -= _enclose(con, Kind.CHANGES, target, urgent, now, which=_CHANGED) if several else 0
        for _ in range(min(room, changed)):
            _enclose(con, Kind.UPDATE, target, urgent, now, limit=1, which=_CHANGED)

    @staticmethod
    def _due(con: Connection, which: str, target: str, urgent: bool, now: int) -> int:
        query = f"SELECT count(*) FROM deliveries WHERE {which}"
        return int(con.execute(query, [target, urgent, now]).fetchone()[0])

    def outgoing(self, target: str, *, most: int = 100, now: int | None = None) -> Envelope | None:
        """The message to that receiver that is to be sent next, with the `most` serious of its alerts."""
        now = now_us() if now is None else now
        row = self._con.execute(
            "SELECT * FROM messages WHERE target = ? AND state = ? AND due <= ? "
            "ORDER BY urgent DESC, due, message LIMIT 1",
            [target, WAITING, now],
        ).fetchone()
        if row is None:
            return None
        inside = "f.n IN (SELECT fact FROM deliveries WHERE message = :message)"
        params = {"message": row["message"], "now": now, "most": most}
        order = f"ORDER BY {_SEVERITY}, f.n LIMIT :most"
        alerts = [(r["n"], _alert(r)) for r in self._con.execute(f"{_SELECT} WHERE {inside} {order}", params)]
        query = "SELECT fact, route, told FROM deliveries WHERE message = ?"
        ways = {fact: (route, told) for fact, route, told in self._con.execute(query, [row["message"]])}
        rules = self._con.execute(
            "SELECT k.rule, count(*) FROM facts f JOIN kinds k USING (kind) "
            f"WHERE {inside} GROUP BY 1 ORDER BY 2 DESC, 1",
            params,
        )
        return Envelope(
            number=row["message"],
            key=row["key"],
            target=target,
            kind=Kind(row["kind"]),
            urgent=bool(row["urgent"]),
            attempts=row["attempts"],
            made=row["made"],
            alerts=row["alerts"],
            enclosed=[(alert, ways[n][0]) for n, alert in alerts],
            rules=dict(rules.fetchall()),
            earlier=self._earlier(row) if row["kind"] == Kind.UPDATE else (),
            before=before_of(next(told for _, told in ways.values())) if row["kind"] == Kind.UPDATE else None,
        )

    def _earlier(self, update: Row) -> list[tuple[str, int]]:
        """Key and time of what the receiver of an update was told of its alert before."""
        alert = update["key"].partition(".")[0]
        rows = self._con.execute(
            "SELECT key, made FROM messages WHERE target = ? AND state = ? AND message < ? "
            "AND (key = ? OR (key > ? AND key < ?)) ORDER BY message",
            [update["target"], SENT, update["message"], alert, f"{alert}.", f"{alert}/"],
        )
        return [(row["key"], row["made"]) for row in rows]

    def sent(
        self,
        envelope: Envelope,
        *,
        note: str | None = None,
        follow: Mapping[str, Follow] | None = None,
        due: Due = lambda _: None,
        now: int | None = None,
    ) -> None:
        """The receiver has it, and is told again when its alerts stand elsewhere, as far as their routes `follow`."""
        now = now_us() if now is None else now
        with self.transaction() as con:
            _settle(con, envelope, SENT, note, now)
            _count(con, envelope.target, now, sent=1, told=0 if envelope.kind in _CHANGES else envelope.alerts)
            if follow and envelope.kind in _FOLLOWS:
                write_down(con, envelope, follow, due, now)
            con.execute(
                "UPDATE targets SET failures = 0, until = 0, refused = FALSE, error = NULL WHERE target = ?",
                [envelope.target],
            )

    def put_off(
        self, envelope: Envelope, error: str, *, due: int, until: int, refused: bool = False, now: int | None = None
    ) -> None:
        """It did not arrive: the message is tried again from `due` on, and the receiver left alone until `until`."""
        now = now_us() if now is None else now
        with self.transaction() as con:
            con.execute(
                "UPDATE messages SET attempts = attempts + 1, due = ?, at = ?, error = ? WHERE message = ?",
                [due, now, error, envelope.number],
            )
            _count(con, envelope.target, now, failed=1)
            con.execute(
                "UPDATE targets SET failures = failures + 1, until = ?, refused = ?, error = ? WHERE target = ?",
                [until, refused, error, envelope.target],
            )

    def give_up(self, envelope: Envelope, error: str, *, now: int | None = None) -> None:
        """It will not be tried again by itself; `retry` brings it back."""
        now = now_us() if now is None else now
        with self.transaction() as con:
            con.execute("UPDATE messages SET attempts = attempts + 1 WHERE message = ?", [envelope.number])
            _settle(con, envelope, GIVEN_UP, error, now)
            _count(con, envelope.target, now, failed=1, given_up=envelope.alerts)

    def withdraw(self, known: Sequence[str], *, now: int | None = None) -> int:
        """Give up what waits for receivers that are not `known` any more; returns how many alerts that is."""
        now = now_us() if now is None else now
        gone = [target for target in self._with_waiting() if target not in set(known)]
        for target in gone:
            with self.transaction() as con:
                for urgent in (True, False):
                    _enclose(con, Kind.DIGEST, target, urgent, 1 << 62)
                rows = con.execute(
                    "UPDATE messages SET state = ?, at = ?, error = 'the receiver is no longer in routes.yaml' "
                    "WHERE target = ? AND state = ? RETURNING alerts",
                    [GIVEN_UP, now, target, WAITING],
                ).fetchall()
                _count(con, target, now, given_up=sum(row[0] for row in rows))
        return len(gone)

    def _with_waiting(self) -> list[str]:
        query = "SELECT target FROM deliveries WHERE message IS NULL UNION SELECT target FROM messages WHERE state = ?"
        return [row[0] for row in self._con.execute(query, [WAITING])]

    def retry(self, targets: Sequence[str], *, now: int | None = None) -> int:
        """Bring back what was given up for these receivers, and try them at once; returns how many alerts come back."""
        now = now_us() if now is None else now
        again = 0
        with self.transaction() as con:
            for target in targets:
                rows = con.execute(
                    "UPDATE messages SET state = ?, due = ?, made = ?, attempts = 0 WHERE target = ? AND state = ? "
                    "RETURNING alerts",
                    [WAITING, now, now, target, GIVEN_UP],
                ).fetchall()
                alerts = sum(row[0] for row in rows)
                again += alerts
                con.execute("UPDATE messages SET due = ? WHERE target = ? AND state = ?", [now, target, WAITING])
                con.execute(
                    "UPDATE targets SET given_up = given_up - ?, until = 0, failures = 0 WHERE target = ?",
                    [alerts, target],
                )
        return again

    def messages_since(self, target: str, since: int) -> tuple[int, int]:
        """(urgent, other) messages that were sent since that time, or wait to be sent."""
        rows = self._con.execute(
            "SELECT urgent, count(*) FROM messages WHERE target = ? AND (state = ? OR state = ? AND at > ?) GROUP BY 1",
            [target, WAITING, SENT, since],
        )
        counts = dict(rows.fetchall())
        return counts.get(1, 0), counts.get(0, 0)

    def pause(self, target: str) -> tuple[int, int]:
        """(failures in a row, time until which the receiver is left alone)."""
        row = self._con.execute("SELECT failures, until FROM targets WHERE target = ?", [target]).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def next_due(self, target: str) -> int | None:
        """When there is something to do for that receiver, µs UTC; None: nothing waits."""
        row = self._con.execute(
            "SELECT min(due) FROM (SELECT due FROM deliveries WHERE target = ? AND message IS NULL "
            "UNION ALL SELECT due FROM messages WHERE target = ? AND state = ?) AS waiting",
            [target, target, WAITING],
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def standings(self, *, now: int | None = None) -> list[Standing]:
        """How all receivers stand that ever had something, by name."""
        now = now_us() if now is None else now
        found: dict[str, dict[str, Any]] = {
            row["target"]: {name: row[name] for name in row.keys() if name != "at"}  # noqa: SIM118 - a row iterates values
            for row in self._con.execute("SELECT * FROM targets")
        }
        waiting = (
            "SELECT target, count(*) FILTER (WHERE due <= :now), count(*) FILTER (WHERE due > :now), "
            "min(CASE WHEN due <= :now THEN due END) "
            "FROM deliveries WHERE message IS NULL GROUP BY 1"
        )
        for target, due, held, oldest in self._con.execute(waiting, {"now": now}):
            found.setdefault(target, {"target": target}).update(waiting=due, held=held, oldest=oldest)
        query = "SELECT target, sum(alerts), min(made) FROM messages WHERE state = ? GROUP BY 1"
        for target, alerts, oldest in self._con.execute(query, [WAITING]):
            told = found.setdefault(target, {"target": target})
            told["waiting"] = told.get("waiting", 0) + alerts
            told["oldest"] = min(filter(None, (told.get("oldest"), oldest)))
        return [Standing(**{**told, "refused": bool(told.get("refused"))}) for _, told in sorted(found.items())]

    def undecided(self) -> int:
        """How many alerts notify for which nobody has decided who is told."""
        query = "SELECT count(*) FROM facts WHERE notified AND n > ?"
        return int(self._con.execute(query, [self.cursor(CURSOR)]).fetchone()[0])

    def decided(self, alert: str) -> tuple[bool, int | None]:
        """Whether it is decided who is told of an alert, and when (µs UTC; None: long ago)."""
        number = resolve(self._con, alert)
        query = "SELECT at FROM decided WHERE upto >= ? AND after < ? ORDER BY upto LIMIT 1"
        row = self._con.execute(query, [number, number]).fetchone()
        return number <= self.cursor(CURSOR), None if row is None else int(row[0])

    def deliveries_of(self, alert: str) -> list[dict[str, Any]]:
        """What became of an alert, receiver by receiver: route, held, due, and kind, state, attempts, at, error."""
        rows = self._con.execute(
            "SELECT d.target, d.route, d.held, d.due AS planned, m.kind, coalesce(m.state, 'planned') AS state, "
            "m.attempts, m.due, m.at, m.error FROM deliveries d LEFT JOIN messages m USING (message) "
            "WHERE d.fact = ? ORDER BY d.seq",
            [resolve(self._con, alert)],
        )
        return [dict(row) for row in rows]

    def forget_deliveries(self, before: int) -> int:
        """Forget what was delivered, or given up, before that time (µs UTC); returns how many messages."""
        with self.transaction() as con:
            old = "SELECT message FROM messages WHERE state <> ? AND at < ?"
            con.execute(f"DELETE FROM deliveries WHERE message IN ({old})", [WAITING, before])
            con.execute("DELETE FROM decided WHERE at < ?", [before])
            return con.execute("DELETE FROM messages WHERE state <> ? AND at < ?", [WAITING, before]).rowcount


def _enclose(
    con: Connection, kind: Kind, target: str, urgent: bool, now: int, *, limit: int = _ALL, which: str = _UNPLACED
) -> int:
    """Put what is due, the most serious first and at most `limit`, into a new message; returns how many alerts."""
    chosen = con.execute(
        "SELECT d.seq, f.id FROM deliveries d JOIN facts f ON f.n = d.fact JOIN kinds k USING (kind) "
        f"WHERE d.{which.replace('AND ', 'AND d.')} ORDER BY {_SEVERITY}, d.due, d.seq LIMIT ?",
        [target, urgent, now, limit],
    ).fetchall()
    if not chosen:
        return 0
    made = min(now, now_us())
    key = chosen[0]["id"].hex() if kind in (Kind.ALERT, Kind.UPDATE) else uuid.uuid4().hex
    if kind is Kind.UPDATE:
        key += f".{made}"
    message = con.execute(
        "INSERT INTO messages (key, target, kind, urgent, alerts, state, attempts, due, made, at) "
        "VALUES (?,?,?,?,?,?,0,?,?,?) RETURNING message",
        [key, target, kind, urgent, len(chosen), WAITING, made, made, made],
    ).fetchone()[0]
    con.executemany("UPDATE deliveries SET message = ? WHERE seq = ?", [(message, row["seq"]) for row in chosen])
    return len(chosen)


def _settle(con: Connection, envelope: Envelope, state: str, error: str | None, now: int) -> None:
    con.execute(
        "UPDATE messages SET state = ?, at = ?, error = ? WHERE message = ?", [state, now, error, envelope.number]
    )


def _count(con: Connection, target: str, now: int, **more: int) -> None:
    names = ("sent", "told", "failed", "given_up")
    con.execute(
        "INSERT INTO targets VALUES (?, 0, 0, FALSE, NULL, ?, ?, ?, ?, ?) "
        "ON CONFLICT (target) DO UPDATE SET at = excluded.at, "
        + ", ".join(f"{name} = targets.{name} + excluded.{name}" for name in names),
        [target, now, *(more.get(name, 0) for name in names)],
    )
