"""What the engine says about alerts, joined in by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from citywatch.alert import Level
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.corrections import apply_corrections
from citywatch.stores.desk.database import Database, last_change, now_us, set_cursor
from citywatch.stores.desk.states import reopen_grown, wake_shelved

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 25_000
"""Facts a transaction: a person who acts meanwhile waits for one of them, not for the whole batch."""

_KIND = ("rule", "rule_id", "rule_version", "title", "level", "status")
_GROWING: tuple[str, ...] = (
    "kind",
    "group",
    "first_seen",
    "last_seen",
    "count",
    "late",
    "lat",
    "lon",
    "address",
    "reason",
    "values",
)
_GROWING += ("evidence", "inconclusive")
# What is decided when the alert is born and stays: silent, notified, raised.
_WRITTEN = ("id", *_GROWING, "silent", "notified", "change", "raised", "updated_at")

_UPSERT = f"""
INSERT INTO facts ({", ".join(f'"{name}"' for name in _WRITTEN)}) VALUES ({", ".join("?" * len(_WRITTEN))})
ON CONFLICT (id) DO UPDATE SET
  {", ".join(f'"{name}" = excluded."{name}"' for name in _GROWING)},
  change = excluded.change, updated_at = excluded.updated_at
WHERE excluded."count" >= facts."count"
  AND ({" OR ".join(f'facts."{name}" IS NOT excluded."{name}"' for name in _GROWING)})
"""


_RANK = {level.value: rank for rank, level in enumerate(Level)}
_KIND_AT, _COUNT_AT = _WRITTEN.index("kind"), _WRITTEN.index("count")


class Facts(Database):
    """The engine's side of the desk."""

    def put_facts(self, facts: pa.Table, *, cursor: int | None = None, now: int | None = None) -> None:
        """Take in what the engine says; the same facts again change nothing.

        Parameters
        ----------
        facts
            Table with `alert.facts_schema()`. Of one alert told twice, the later row counts; an alert never shrinks.
        cursor
            Where the engine's relay stands after these facts; kept as `cursor("relay")` once they are all in.
        now
            Microseconds UTC; decides whether a new alert is live, and so notified.
        """
        now = now_us() if now is None else now
        for start in range(0, facts.num_rows, CHUNK):
            with self.transaction() as con:
                self._put(con, facts.slice(start, CHUNK), now)
                if cursor is not None and start + CHUNK >= facts.num_rows:
                    set_cursor(con, "relay", cursor)
        if cursor is not None and not facts.num_rows:
            self.move_cursor("relay", cursor)

    def _put(self, con: Connection, facts: pa.Table, now: int) -> None:
        base = last_change(con)
        rows = list(self._rows(con, facts, base, now))
        risen = [(fact,) for fact in _rising(con, rows)]
        con.executemany(_UPSERT, rows)
        con.executemany("INSERT INTO risen (fact) VALUES (?) ON CONFLICT DO NOTHING", risen)
        born = Counter(row[0] for row in con.execute("SELECT kind FROM facts WHERE raised > ?", [base]))
        con.executemany("UPDATE kinds SET alerts = alerts + ? WHERE kind = ?", [(n, kind) for kind, n in born.items()])
        reopen_grown(con, base, now)
        apply_corrections(con, "change > ?", [base], now)
        wake_shelved(con, now)

    def _rows(self, con: Connection, facts: pa.Table, base: int, now: int) -> Iterator[tuple[Any, ...]]:
        import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

        told: dict[str, list[Any]] = {
            name: facts[name].to_pylist() for name in facts.column_names if not name.endswith("_seen")
        }
        told.update({name: facts[name].cast(pa.int64()).to_pylist() for name in ("first_seen", "last_seen")})
        told["kind"] = _kinds(con, told)
        told["id"] = list(map(bytes.fromhex, told["id"]))
        quiet = zip(told["status"], told["silent"], told["inconclusive"], told["first_seen"], strict=True)
        notified = [s == "stable" and not i and not o and abs(now - seen) <= self.live for s, i, o, seen in quiet]
        numbers = range(base + 1, base + 1 + facts.num_rows)
        columns = (told["id"], *(told[name] for name in _GROWING), told["silent"], notified, numbers, numbers)
        yield from zip(*columns, [now] * facts.num_rows, strict=True)

    def outbox(self, after: int = 0, limit: int = 1000) -> list[tuple[int, str]]:
        """(number, alert id) of the alerts to notify, in the order in which they came; each stands here once."""
        query = "SELECT n, id FROM facts WHERE notified AND n > ? ORDER BY n LIMIT ?"
        return [(row[0], row[1].hex()) for row in self._con.execute(query, [after, limit])]

    def tallies(self) -> list[tuple[str, str, str, int]]:
        """(rule, level, status, number of alerts ever), without counting them anew."""
        query = "SELECT rule, level, status, sum(alerts) FROM kinds GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        return [tuple(row) for row in self._con.execute(query)]


def _rising(con: Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[int]:
    """Numbers of the alerts that notify, and are told with a higher level than before: their rule was edited."""
    ranks: dict[tuple[str, str], dict[int, int]] = {}
    for kind, rule, version, level in con.execute("SELECT kind, rule_id, rule_version, level FROM kinds"):
        ranks.setdefault((rule, version), {})[kind] = _RANK[level]
    edited = {kind: of_rule for of_rule in ranks.values() if len(set(of_rule.values())) > 1 for kind in of_rule}
    for row in rows if edited else ():
        if (of_rule := edited.get(row[_KIND_AT])) is not None:
            known = con.execute('SELECT n, kind, "count" FROM facts WHERE id = ? AND notified', [row[0]]).fetchone()
            if known is not None and known[2] <= row[_COUNT_AT] and of_rule[known[1]] < of_rule[row[_KIND_AT]]:
                yield known[0]


def _kinds(con: Connection, told: dict[str, list[Any]]) -> list[int]:
    """The number of each row's kind; new kinds are written down."""
    rows = list(zip(*(told[name] for name in _KIND), strict=True))
    numbers = {}
    for words in dict.fromkeys(rows):
        values = [word or "" for word in words]
        con.execute(
            f"INSERT INTO kinds ({', '.join(_KIND)}, alerts) VALUES (?,?,?,?,?,?,0) ON CONFLICT DO NOTHING", values
        )
        query = f"SELECT kind FROM kinds WHERE {' AND '.join(f'{name} = ?' for name in _KIND)}"
        numbers[words] = con.execute(query, values).fetchone()[0]
    return [numbers[words] for words in rows]
