"""What the engine says about alerts, joined in by id."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from citywatch.stores.desk.corrections import apply_corrections
from citywatch.stores.desk.database import Database, last_change, now_us
from citywatch.stores.desk.states import reopen_grown, wake_shelved

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 20_000
"""Facts a transaction: a person who acts meanwhile waits for one of them, not for the whole batch."""

_TOLD: tuple[str, ...] = (
    "id",
    "rule",
    "rule_id",
    "rule_version",
    "title",
    "level",
    "status",
    "group",
    "first_seen",
    "last_seen",
)
_TOLD += ("count", "late", "lat", "lon", "address", "reason", "values", "evidence", "inconclusive", "silent")
# `silent` and the decision to notify belong to the birth of an alert; growth leaves them.
_GROWING = [name for name in _TOLD if name not in ("id", "rule", "rule_id", "rule_version", "silent")]

_UPSERT = f"""
INSERT INTO facts ({", ".join(f'"{name}"' for name in _TOLD)}, notified, change, raised, updated_at)
VALUES ({", ".join("?" * (len(_TOLD) + 4))})
ON CONFLICT (id) DO UPDATE SET
  {", ".join(f'"{name}" = excluded."{name}"' for name in _GROWING)},
  change = excluded.change, updated_at = excluded.updated_at
WHERE excluded."count" >= facts."count"
  AND ({" OR ".join(f'facts."{name}" IS NOT excluded."{name}"' for name in _GROWING)})
"""


class Facts(Database):
    """The engine's side of the desk."""

    def put_facts(self, facts: pa.Table, *, cursor: int | None = None, now: int | None = None) -> None:
        """Take in what the engine says; the same facts again change nothing.

        Parameters
        ----------
        facts
            Table with `alert.facts_schema()`. Of one alert told twice, the later row counts; an alert never shrinks.
        cursor
            Where the engine's relay stands after these facts; kept with them as `cursor("relay")`.
        now
            Microseconds UTC; decides whether a new alert is live, and so notified.
        """
        now = now_us() if now is None else now
        for rows in _chunks(facts):
            with self.transaction() as con:
                self._put(con, rows, now)
        if cursor is not None:
            self.move_cursor("relay", cursor)

    def _put(self, con: sqlite3.Connection, rows: list[tuple[Any, ...]], now: int) -> None:
        base = last_change(con)
        con.executemany(_UPSERT, self._with_numbers(rows, base, now))
        con.execute(
            "INSERT INTO outbox (alert, at) SELECT id, ? FROM facts WHERE raised > ? AND notified ORDER BY raised",
            [now, base],
        )
        con.execute(
            "INSERT INTO tallies SELECT rule, level, status, count(*) FROM facts WHERE raised > ? GROUP BY 1, 2, 3 "
            "ON CONFLICT DO UPDATE SET alerts = alerts + excluded.alerts",
            [base],
        )
        reopen_grown(con, base, now)
        apply_corrections(con, "f.change > ?", [base], now)
        wake_shelved(con, now)

    def _with_numbers(self, rows: list[tuple[Any, ...]], base: int, now: int) -> Iterator[tuple[Any, ...]]:
        status, first_seen = _TOLD.index("status"), _TOLD.index("first_seen")
        inconclusive, silent = _TOLD.index("inconclusive"), _TOLD.index("silent")
        for number, row in enumerate(rows, base + 1):
            quiet = row[silent] or row[inconclusive]
            notified = row[status] == "stable" and not quiet and abs(now - row[first_seen]) <= self.live
            yield (*row, notified, number, number, now)

    def outbox(self, after: int = 0, limit: int = 1000) -> list[tuple[int, str]]:
        """(number, alert id) of the alerts to notify, in the order in which they came; each stands here once."""
        rows = self._con.execute(
            "SELECT seq, alert FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", [after, limit]
        ).fetchall()
        return [(row[0], row[1]) for row in rows]

    def tallies(self) -> list[tuple[str, str, str, int]]:
        """(rule, level, status, number of alerts ever), without counting them anew."""
        return [tuple(row) for row in self._con.execute("SELECT rule, level, status, alerts FROM tallies")]


def _chunks(facts: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

    times = pa.int64()
    for start in range(0, facts.num_rows, CHUNK):
        part = facts.slice(start, CHUNK)
        columns = [part[name].cast(times) if name.endswith("_seen") else part[name] for name in _TOLD]
        yield list(zip(*(column.to_pylist() for column in columns), strict=True))
