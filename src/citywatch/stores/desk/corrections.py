"""Corrections: a `violation.corrected` event closes the alert that rests on the corrected event, whichever comes first.

Of several corrections of one event the last by (time, source, id) counts. One that takes another back (`undoes` in its
data) puts the alert where that other one had found it. A correction of an unknown event is kept and listed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from citywatch.alert import Outcome, State
from citywatch.event import payload
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.database import Database, now_us, set_cursor
from citywatch.stores.desk.states import Entry, Standing, record, standing

if TYPE_CHECKING:
    import pyarrow as pa

TYPE = "violation.corrected"

INDEX_CHUNK = 20_000

INSERT = "INSERT INTO corrections VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"


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
        rows = correction_rows(batch)
        if not rows:
            return 0
        now = now_us() if now is None else now
        while self._index_evidence():
            pass  # in steps: people who act meanwhile wait for one of them only
        with self.transaction() as con:
            _index_step(con)
            added = con.executemany(INSERT, rows).rowcount
            touched = sorted({fact for row in rows for fact in _resting_on(con, row[3], row[4])})
            apply_corrections(con, f"n IN ({', '.join(map(str, touched)) or 'NULL'})", [], now)
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


def apply_corrections(con: Connection, where: str, params: list[Any], now: int) -> None:
    """Close (or give back) the alerts among `facts` that meet `where` and rest on a corrected event."""
    if con.execute("SELECT 1 FROM corrections LIMIT 1").fetchone() is None:
        return
    for fact, evidence in con.execute(f"SELECT n, evidence FROM facts WHERE {where}", params).fetchall():
        correction = _in_force(con, evidence)
        if correction is not None and not _known(con, fact, correction):
            _apply(con, fact, correction, now)


def _in_force(con: Connection, evidence: str | None) -> Correction | None:
    """The last correction, by (time, source, id), of any of the events in evidence."""
    query = (
        "SELECT time, source, id, violation_code, undoes FROM corrections "
        "WHERE corrects_source = ? AND corrects_id = ? ORDER BY time DESC, source DESC, id DESC LIMIT 1"
    )
    events = _events(evidence)
    found = [tuple(row) for source, event in events if (row := con.execute(query, [source, event]).fetchone())]
    return Correction(*max(found, key=lambda row: row[:3])[1:]) if found else None


def _events(evidence: str | None) -> list[tuple[str, str]]:
    return [(event["source"], event["id"]) for event in json.loads(evidence or "[]")]


def _apply(con: Connection, fact: int, correction: Correction, now: int) -> None:
    before = standing(con, fact).seen_at(now)
    if correction.undoes is not None:
        _take_back(con, fact, correction, before, now)
        return
    note = None
    after = closed(con, fact, before, Outcome.CORRECTED)
    if before.state is State.CLOSED:
        after = before
        note = "came after the alert was closed; its outcome stays"
    entry = Entry(fact, "correct", correction.source, "event", now, note, after.outcome, code=correction.code)
    entry = replace(entry, correction=(correction.source, correction.id))
    record(con, entry, before, after, raise_again=False)


def _take_back(con: Connection, fact: int, correction: Correction, before: Standing, now: int) -> None:
    last = con.execute(
        "SELECT seq, correction_id, before FROM actions WHERE fact = ? AND action = 'correct' "
        "ORDER BY seq DESC LIMIT 1",
        [fact],
    ).fetchone()
    if last is None or last["correction_id"] != correction.undoes or before.outcome != Outcome.CORRECTED:
        return
    after = replace(Standing.from_text(last["before"]).seen_at(now), reopened=before.reopened)
    entry = Entry(fact, "undo", correction.source, "event", now, undoes=last["seq"])
    entry = replace(entry, correction=(correction.source, correction.id))
    record(con, entry, before, after, raise_again=True)


def closed(con: Connection, fact: int, before: Standing, outcome: str) -> Standing:
    """The standing of an alert that is closed now: it remembers how many matches it had."""
    count = con.execute('SELECT "count" FROM facts WHERE n = ?', [fact]).fetchone()[0]
    return replace(before, state=State.CLOSED, outcome=outcome, until=None, closed_count=count)


def _known(con: Connection, fact: int, correction: Correction) -> bool:
    query = "SELECT 1 FROM actions WHERE fact = ? AND correction_source = ? AND correction_id = ?"
    return con.execute(query, [fact, correction.source, correction.id]).fetchone() is not None


def _resting_on(con: Connection, source: str, event: str) -> list[int]:
    return [row[0] for row in con.execute("SELECT fact FROM evidence WHERE source = ? AND id = ?", [source, event])]


def _index_step(con: Connection) -> bool:
    """Note for a chunk of changed alerts what they rest on; False when nothing was left."""
    row = con.execute("SELECT value FROM cursors WHERE name = 'evidence'").fetchone()
    start = row[0] if row else 0
    rows = con.execute(
        "SELECT n, evidence, change FROM facts WHERE change > ? ORDER BY change LIMIT ?", [start, INDEX_CHUNK]
    ).fetchall()
    if not rows:
        return False
    rests = ((*event, row["n"]) for row in rows for event in _events(row["evidence"]))
    con.executemany("INSERT INTO evidence VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rests)
    set_cursor(con, "evidence", rows[-1]["change"])
    return True


def correction_rows(batch: pa.Table) -> list[tuple[Any, ...]]:
    """The rows of the table of corrections that a batch of events has."""
    import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow
    import pyarrow.compute as pc  # noqa: PLC0415 - readers of the desk do without Arrow

    found = batch.filter(pc.equal(batch["type"], pa.scalar(TYPE)))
    if found.num_rows == 0:
        return []
    found = found.set_column(found.schema.get_field_index("time"), "time", found["time"].cast(pa.int64()))
    names = ["source", "id", "time", "corrects_source", "corrects_id", "violation_code", "data"]
    return [_row(found) for found in found.select(names).to_pylist()]


def _row(event: dict[str, Any]) -> tuple[Any, ...]:
    undoes = payload(event["data"]).get("undoes")
    # One that names no event stays in the list of corrections that found nothing.
    corrects = (event["corrects_source"] or "", event["corrects_id"] or "")
    taken_back = undoes if isinstance(undoes, str) else None
    return (event["source"], event["id"], event["time"], *corrects, event["violation_code"], taken_back)
