"""Corrections: a `violation.corrected` event closes the alert that rests on the corrected event, whichever comes first.

Of several corrections of one event the last by (time, source, id) counts. One that takes another back (`undoes` in its
data) puts the alert where that other one had found it. A correction of an unknown event is kept and listed.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from citywatch.alert import Outcome, State
from citywatch.stores.desk.database import Database, now_us, set_cursor
from citywatch.stores.desk.states import Entry, Standing, record, standing

if TYPE_CHECKING:
    import pyarrow as pa

TYPE = "violation.corrected"

INDEX_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction that concerns an alert; `undoes` is the id of the correction that it takes back."""

    source: str
    id: str
    code: int | None
    undoes: str | None


class Corrections(Database):
    """Corrections on the desk."""

    def put_corrections(self, batch: pa.Table, *, now: int | None = None) -> int:
        """Take in the `violation.corrected` events of a batch of accepted events; returns how many were new.

        Parameters
        ----------
        batch
            Table with at least type, source, id, time, corrects_source, corrects_id, violation_code and data of
            `event.batch_schema()`. Other types are passed over.
        now
            Microseconds UTC: the time of what follows from them.
        """
        rows = _rows(batch)
        if not rows:
            return 0
        now = now_us() if now is None else now
        while self._index_evidence():
            pass  # in steps: people who act meanwhile wait for one of them only
        with self.transaction() as con:
            _index_step(con)
            known = con.total_changes
            con.executemany("INSERT OR IGNORE INTO corrections VALUES (?,?,?,?,?,?,?)", rows)
            added = con.total_changes - known
            alerts = {found for row in rows for found in _resting_on(con, row[3], row[4])}
            apply_corrections(con, "f.id IN (SELECT value FROM json_each(?))", [json.dumps(sorted(alerts))], now)
        return added

    def _index_evidence(self) -> bool:
        with self.transaction() as con:
            return _index_step(con)

    def corrections(self, *, unmatched: bool = False) -> list[dict[str, Any]]:
        """All corrections by time; `unmatched`: only those of an event that no alert rests on."""
        none = "WHERE NOT EXISTS (SELECT 1 FROM evidence e WHERE e.source = corrects_source AND e.id = corrects_id)"
        if unmatched:
            while self._index_evidence():
                pass
        rows = self._con.execute(
            "SELECT source, id, time, corrects_source, corrects_id, violation_code, undoes FROM corrections "
            f"{none if unmatched else ''} ORDER BY time, source, id"
        )
        return [dict(row) for row in rows]


def apply_corrections(con: sqlite3.Connection, where: str, params: list[Any], now: int) -> None:
    """Close (or give back) the alerts of `facts f` that meet `where` and rest on a corrected event."""
    if con.execute("SELECT 1 FROM corrections LIMIT 1").fetchone() is None:
        return
    found = con.execute(
        "SELECT f.id, c.source, c.id, c.violation_code, c.undoes FROM facts f CROSS JOIN json_each(f.evidence) e "
        "CROSS JOIN corrections c ON c.corrects_source = json_extract(e.value, '$.source') "
        f"AND c.corrects_id = json_extract(e.value, '$.id') WHERE {where} ORDER BY f.id, c.time, c.source, c.id",
        params,
    )
    in_force = {row[0]: Correction(*row[1:]) for row in found}
    for alert, correction in in_force.items():
        if not _known(con, alert, correction):
            _apply(con, alert, correction, now)


def _apply(con: sqlite3.Connection, alert: str, correction: Correction, now: int) -> None:
    before = standing(con, alert).seen_at(now)
    if correction.undoes is not None:
        _take_back(con, alert, correction, before, now)
        return
    note = None
    after = closed(con, alert, before, Outcome.CORRECTED)
    if before.state is State.CLOSED:
        after = before
        note = "came after the alert was closed; its outcome stays"
    entry = Entry(alert, "correct", correction.source, "event", now, note, after.outcome, code=correction.code)
    entry = replace(entry, correction=(correction.source, correction.id))
    record(con, entry, before, after, raise_again=False)


def _take_back(con: sqlite3.Connection, alert: str, correction: Correction, before: Standing, now: int) -> None:
    last = con.execute(
        "SELECT seq, correction_id, before FROM actions WHERE alert = ? AND action = 'correct' "
        "ORDER BY seq DESC LIMIT 1",
        [alert],
    ).fetchone()
    if last is None or last["correction_id"] != correction.undoes or before.outcome != Outcome.CORRECTED:
        return
    after = replace(Standing.from_text(last["before"]).seen_at(now), reopened=before.reopened)
    entry = Entry(alert, "undo", correction.source, "event", now, undoes=last["seq"])
    entry = replace(entry, correction=(correction.source, correction.id))
    record(con, entry, before, after, raise_again=True)


def closed(con: sqlite3.Connection, alert: str, before: Standing, outcome: str) -> Standing:
    """The standing of an alert that is closed now: it remembers how many matches it had."""
    count = con.execute('SELECT "count" FROM facts WHERE id = ?', [alert]).fetchone()[0]
    return replace(before, state=State.CLOSED, outcome=outcome, until=None, closed_count=count)


def _known(con: sqlite3.Connection, alert: str, correction: Correction) -> bool:
    query = "SELECT 1 FROM actions WHERE alert = ? AND correction_source = ? AND correction_id = ?"
    return con.execute(query, [alert, correction.source, correction.id]).fetchone() is not None


def _resting_on(con: sqlite3.Connection, source: str, event: str) -> list[str]:
    return [row[0] for row in con.execute("SELECT alert FROM evidence WHERE source = ? AND id = ?", [source, event])]


def _index_step(con: sqlite3.Connection) -> bool:
    """Note for a chunk of changed alerts what they rest on; False when nothing was left."""
    row = con.execute("SELECT value FROM cursors WHERE name = 'evidence'").fetchone()
    start = row[0] if row else 0
    end = con.execute(
        "SELECT max(change) FROM (SELECT change FROM facts WHERE change > ? ORDER BY change LIMIT ?)",
        [start, INDEX_CHUNK],
    ).fetchone()[0]
    if end is None:
        return False
    con.execute(
        "INSERT OR IGNORE INTO evidence SELECT json_extract(e.value, '$.source'), json_extract(e.value, '$.id'), f.id "
        "FROM facts f CROSS JOIN json_each(f.evidence) e WHERE f.change > ? AND f.change <= ?",
        [start, end],
    )
    set_cursor(con, "evidence", end)
    return True


def _rows(batch: pa.Table) -> list[tuple[Any, ...]]:
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow
    import pyarrow.compute as pc  # noqa: PLC0415

    found = batch.filter(pc.equal(batch["type"], pa.scalar(TYPE)))
    if found.num_rows == 0:
        return []
    found = found.set_column(found.schema.get_field_index("time"), "time", found["time"].cast(pa.int64()))
    names = ["source", "id", "time", "corrects_source", "corrects_id", "violation_code", "data"]
    return [_row(found) for found in found.select(names).to_pylist()]


def _row(event: dict[str, Any]) -> tuple[Any, ...]:
    undoes = json.loads(event["data"] or "{}").get("undoes")
    # One that names no event stays in the list of corrections that found nothing.
    corrects = (event["corrects_source"] or "", event["corrects_id"] or "")
    taken_back = undoes if isinstance(undoes, str) else None
    return (event["source"], event["id"], event["time"], *corrects, event["violation_code"], taken_back)
