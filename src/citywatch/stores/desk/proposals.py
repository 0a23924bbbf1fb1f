"""Proposals for tickets: violations with a plate and a final code, the same offence seen again being one.

Which proposals there are is a function of the events: of the violations, their corrections and the time within which
the same plate and code are the same offence. It does not matter in which order, how often or in which portions they
come. What a person has decided stays: a violation that joins a decided offence later changes nothing about it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from citywatch.settings import HOUR
from citywatch.stores.desk.connection import Connection, Row
from citywatch.stores.desk.corrections import INSERT as INSERT_CORRECTION
from citywatch.stores.desk.database import Database, now_us, set_cursor

CURSOR = "violations"
WITHIN = "same_offence"

CHUNK = 1_000
"""Violations a transaction: people who act meanwhile wait for one of them only."""

DETAILS = (
    "lat lon address street borough precinct image_id device_id plate_type vehicle_make vehicle_body vehicle_color"
    " vehicle_year issuer_agency time_precision"
).split()
"""Fields of a violation that go with a proposal beside plate, state, code and time."""

_FINAL = """
SELECT CASE WHEN c.source IS NULL THEN v.code WHEN c.violation_code > 0 THEN c.violation_code END
FROM violations v LEFT JOIN corrections c ON c.corrects_source = v.source AND c.corrects_id = v.id
WHERE v.source = ? AND v.id = ? ORDER BY c.time DESC, c.source DESC, c.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation with a plate, as a device reported it. `code` is None where a person has to say what it is.

    `time` is µs UTC, `details` what there is of DETAILS.
    """

    source: str
    id: str
    time: int
    plate: str
    plate_state: str | None
    code: int | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Offence:
    """What makes two violations the same offence, when they are near in time."""

    plate: str
    plate_state: str | None
    code: int


class Proposals(Database):
    """Deriving proposals on the desk."""

    def put_violations(
        self,
        violations: Sequence[Violation],
        corrections: Sequence[tuple[Any, ...]] = (),
        *,
        within: int = HOUR,
        cursor: int | None = None,
    ) -> None:
        """Take in violations and corrections, and make the proposals what they are now; on the disk when it returns.

        Parameters
        ----------
        violations
            Those that are known change nothing.
        corrections
            Rows of the table of corrections.
        within
            µs: the same plate and code seen again so soon are the same offence.
        cursor
            Number of the last event of the log that is taken in with this.
        """
        for start in range(0, max(len(corrections), 1), CHUNK):
            self._take_in([], corrections[start : start + CHUNK], within)
        for start in range(0, len(violations), CHUNK):
            self._take_in(violations[start : start + CHUNK], [], within)
        if cursor is not None:
            self.move_cursor(CURSOR, cursor)

    def _take_in(self, violations: Sequence[Violation], corrections: Sequence[tuple[Any, ...]], within: int) -> None:
        if not violations and not corrections:
            return
        rows = [(v.source, v.id, v.time, v.plate, v.plate_state, v.code, json.dumps(v.details)) for v in violations]
        with self.transaction() as con:
            con.executemany(INSERT_CORRECTION, corrections)
            con.executemany(
                "INSERT INTO violations (source, id, time, plate, plate_state, code, details)"
                " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                rows,
            )
            touched = dict.fromkeys([(v.source, v.id) for v in violations] + [(c[3], c[4]) for c in corrections])
            for offence in dict.fromkeys(_finalised(con, touched)):
                _regroup(con, offence, within)

    def regroup(self, within: int) -> None:
        """Make all proposals anew where `within` is another than before."""
        if self.cursor(WITHIN) == within:
            return
        with self.transaction() as con:
            known = "SELECT DISTINCT plate, plate_state, final FROM violations WHERE final IS NOT NULL"
            for row in con.execute(known).fetchall():
                _regroup(con, _Offence(*row), within)
            set_cursor(con, WITHIN, within)


def _finalised(con: Connection, touched: Iterable[tuple[str, str]]) -> Iterator[_Offence]:
    """Give violations their final codes; the offences that they were and those that they are."""
    known = "SELECT plate, plate_state, final FROM violations WHERE source = ? AND id = ?"
    for event in touched:
        row = con.execute(known, event).fetchone()
        if row is None:
            continue  # the correction of an event that is no violation with a plate, or not yet here
        plate, plate_state, before = row
        final = con.execute(_FINAL, event).fetchone()[0]
        if before != final:
            moved = "UPDATE violations SET final = ?, proposal = NULL WHERE source = ? AND id = ?"
            con.execute(moved, [final, *event])
        yield from (_Offence(plate, plate_state, code) for code in (before, final) if code is not None)


def _regroup(con: Connection, offence: _Offence, within: int) -> None:
    """Make the proposals of one plate and code what its violations say now."""
    key = [offence.plate, offence.plate_state, offence.code]
    rows = con.execute(
        "SELECT source, id, time, details, proposal FROM violations WHERE plate = ? AND plate_state IS ? AND final = ?"
        " ORDER BY time, source, id",
        key,
    ).fetchall()
    before = con.execute(
        "SELECT id, state FROM proposals WHERE plate = ? AND plate_state IS ? AND code = ? ORDER BY time, id", key
    ).fetchall()
    decided = [row for row in before if row["state"] in ("approved", "refused")]
    kept: set[str] = set()
    for seen in _sittings(rows, within):
        id_ = _hash([*key, seen[0]["source"], seen[0]["id"]])
        members = {id_, *(row["proposal"] for row in seen)}
        joined = [row["id"] for row in decided if row["id"] in members]
        proposal = joined[0] if joined else id_
        if not joined:
            _propose(con, id_, key, seen)
        kept.update(joined or [proposal])
        for row in seen:
            if row["proposal"] not in joined and row["proposal"] != proposal:
                moved = "UPDATE violations SET proposal = ? WHERE source = ? AND id = ?"
                con.execute(moved, [proposal, row["source"], row["id"]])
        if joined:
            _grow(con, joined)
    _withdraw(con, [row["id"] for row in before if row["id"] not in kept])


def _sittings(rows: Sequence[Row], within: int) -> Iterator[list[Row]]:
    """Violations in order of time, cut where nothing was seen for longer than `within`."""
    cuts = [n for n, (a, b) in enumerate(pairwise(rows), 1) if b["time"] - a["time"] > within]
    for start, stop in pairwise([0, *cuts, len(rows)]):
        if stop > start:
            yield list(rows[start:stop])


def _propose(con: Connection, id_: str, key: list[Any], seen: Sequence[Row]) -> None:
    """Write the undecided proposal of these violations as they say it is."""
    first = seen[0]
    details = json.loads(first["details"])
    images = (json.loads(row["details"]).get("image_id") for row in seen)
    details["image_id"] = next((image for image in images if image is not None), None)
    text = json.dumps(details)
    version = _hash([id_, text, [[row["source"], row["id"]] for row in seen]])[:16]
    event = [first["source"], first["id"], first["time"], seen[-1]["time"], len(seen)]
    con.execute(
        "INSERT INTO proposals (id, plate, plate_state, code, source, event, time, last, sightings, details, state,"
        " version, made_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,'proposed',?,?,?) ON CONFLICT (id) DO UPDATE SET"
        " time = excluded.time, last = excluded.last, sightings = excluded.sightings, details = excluded.details,"
        " state = 'proposed', version = excluded.version, decided_by = NULL, decided_at = NULL, reason = NULL,"
        " updated_at = excluded.updated_at"
        " WHERE proposals.version <> excluded.version OR proposals.state <> 'proposed'",
        [id_, *key, *event, text, version, now_us(), now_us()],
    )


def _grow(con: Connection, decided: Iterable[str]) -> None:
    """A decided proposal counts what was seen of it since; nothing else about it changes."""
    for proposal in decided:
        con.execute(
            "UPDATE proposals SET (last, sightings) = (SELECT max(time), count(*) FROM violations WHERE proposal = :id)"
            " WHERE id = :id",
            {"id": proposal},
        )


def _withdraw(con: Connection, ids: Iterable[str]) -> None:
    """Proposals that no violation stands behind any more: undecided ones go, decided ones say so, tickets stay."""
    for id_ in ids:
        con.execute("DELETE FROM proposals WHERE id = ? AND state = 'proposed'", [id_])
        con.execute(
            "UPDATE proposals SET state = 'withdrawn', updated_at = ?"
            " WHERE id = ? AND state IN ('approved', 'refused') AND batch IS NULL",
            [now_us(), id_],
        )


def _hash(values: Sequence[Any]) -> str:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
