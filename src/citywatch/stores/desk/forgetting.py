"""What is older than it is to be kept: alerts that nobody works on, rejected records, the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from citywatch.alert import State
from citywatch.settings import Retention
from citywatch.stores.desk.connection import Connection, Rows
from citywatch.stores.desk.database import REMOVED, Database, set_cursor
from citywatch.stores.desk.rejected import RAW_LIMIT

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 5_000
"""Rows a transaction: who writes meanwhile waits for one of them only."""

_OF_ALERTS = (
    ("actions", "fact"),
    ("states", "fact"),
    ("evidence", "fact"),
    ("deliveries", "fact"),
    ("risen", "fact"),
    ("facts", "n"),
)

# The newest alert and the newest change stay: their numbers go on from there.
_OLD_ALERTS = """
FROM facts f JOIN kinds k USING (kind) LEFT JOIN states s ON s.fact = f.n
WHERE (s.state = :closed OR (s.fact IS NULL AND k.status <> 'stable'))
  AND max(f.last_seen, f.updated_at, coalesce(s.updated_at, 0)) < :before
  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.fact = f.n AND d.message IS NULL)
  AND f.n < (SELECT max(n) FROM facts) AND f.change < (SELECT max(change) FROM facts)
"""

_NEEDED = """
SELECT DISTINCT event.value->>'source', event.value->>'id'
FROM facts f LEFT JOIN states s ON s.fact = f.n, json_each(f.evidence) AS event
WHERE coalesce(s.state, '') <> ?
"""

_NEEDED_IMAGES = """
SELECT DISTINCT event.value->'data'->>'image_id'
FROM facts f LEFT JOIN states s ON s.fact = f.n, json_each(f.evidence) AS event
WHERE coalesce(s.state, '') <> ? AND event.value->'data'->>'image_id' IS NOT NULL
UNION SELECT details->>'image_id' FROM proposals
WHERE state IN ('proposed', 'approved') AND batch IS NULL AND details->>'image_id' IS NOT NULL
"""

_OLD = {
    "rejected": "FROM rejected WHERE last_seen < :before",
    "audit": "FROM audit WHERE at < :before",
}


class Forgetting(Database):
    """Removing what is old. `before` is µs UTC."""

    def expire(self, retention: Retention, now: int, *, dry_run: bool) -> dict[str, int]:
        """Remove alerts, rejected records and audit that are older than they are kept; kind -> how many."""
        removed = {}
        if retention.alerts:
            removed["alerts"] = (self.old_alerts if dry_run else self.forget_alerts)(now - retention.alerts)
        for table, span in (("rejected", retention.rejected), ("audit", retention.audit)):
            if span:
                removed[table] = (self.old_rows if dry_run else self.forget_rows)(table, now - span)
        return removed

    def needed_events(self) -> pa.Table:
        """Which events (source, id) stand in the evidence of alerts that are not closed."""
        import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

        schema = pa.schema([("source", pa.string()), ("id", pa.string())])
        with self.reading() as con:
            parts = _tables(con.execute(_NEEDED, [State.CLOSED]), schema)
            return pa.concat_tables([schema.empty_table(), *parts])

    def needed_images(self) -> set[str]:
        """Ids of the images that those events name, and those of proposals that are not yet tickets or refused."""
        return {row[0] for row in self._con.execute(_NEEDED_IMAGES, [State.CLOSED])}

    def old_alerts(self, before: int) -> int:
        """How many alerts are closed, or never called anybody, and have not changed since `before`."""
        return self._count(_OLD_ALERTS, before)

    def forget_alerts(self, before: int) -> int:
        """Remove those, and what was done with them; returns how many."""
        removed = 0
        while some := self._forget_some(before):
            removed += some
        return removed

    def _forget_some(self, before: int) -> int:
        with self.transaction() as con:
            chosen = {"before": before, "closed": State.CLOSED, "chunk": _CHUNK}
            old = con.execute(f"SELECT f.n, f.kind {_OLD_ALERTS} LIMIT :chunk", chosen).fetchall()
            numbers = [(n,) for n, _ in old]
            for table, key in _OF_ALERTS:
                con.executemany(f"DELETE FROM {table} WHERE {key} = ?", numbers)
            for kind, rows in Counter(kind for _, kind in old).items():
                set_cursor(con, f"{REMOVED}{kind}", _removed(con, kind) + rows)
        return len(old)

    def old_rows(self, table: str, before: int) -> int:
        """How many rows of `rejected` or `audit` are from before."""
        return self._count(_OLD[table], before)

    def forget_rows(self, table: str, before: int) -> int:
        """Remove those; returns how many."""
        if table == "rejected":
            self._forget_large(before)
        with self.transaction() as con:
            removed = con.execute(f"DELETE {_OLD[table]}", {"before": before}).rowcount
            con.execute("DELETE FROM audit_subjects WHERE seq NOT IN (SELECT seq FROM audit)")
            return removed

    def _forget_large(self, before: int) -> None:
        """Remove the files of large rejected records, before the rows that say that they are there."""
        if self.aside is None:
            return
        large = f"SELECT id {_OLD['rejected']} AND size > :limit"
        for row in self._con.execute(large, {"before": before, "limit": RAW_LIMIT}).fetchall():
            (self.aside / f"{row['id']}.raw").unlink(missing_ok=True)

    def _count(self, rows: str, before: int) -> int:
        query = f"SELECT count(*) {rows}"
        return int(self._con.execute(query, {"before": before, "closed": State.CLOSED}).fetchone()[0])


def _tables(rows: Rows, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

    while chunk := rows.fetchmany(100_000):
        yield pa.table([list(column) for column in zip(*chunk, strict=True)], schema=schema)


def _removed(con: Connection, kind: int) -> int:
    row = con.execute("SELECT value FROM cursors WHERE name = ?", [f"{REMOVED}{kind}"]).fetchone()
    return int(row[0]) if row else 0
