"""What people decide about proposals, and the tickets that follow: numbered once, exported once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from citywatch.errors import ProposalError, UnknownProposalError, UsageError
from citywatch.stores.desk.connection import Connection, Row
from citywatch.stores.desk.database import Database, now_us
from citywatch.stores.desk.proposals import DETAILS
from citywatch.ticketing import ANY, Decision, Selection, Standing, Verdict, price
from citywatch.wording import iso

SOURCE = "citywatch/tickets"
"""The `source` of the events that say that a ticket was issued."""

TYPE = "ticket.issued"

_STANDING = "CASE WHEN p.batch IS NOT NULL THEN 'exported' ELSE p.state END"

_SELECT = f"""
SELECT p.*, {_STANDING} AS standing, (
  SELECT json_group_array(json_array(v.source, v.id, v.summons)) FROM violations v WHERE v.proposal = p.id
) AS violations FROM proposals p
"""

_ORDER = "ORDER BY p.time, p.id"


@dataclass(frozen=True, slots=True)
class Batch:
    """Tickets that are exported together: `number` from 1, `file` where they are written, `at` µs UTC."""

    number: int
    at: int
    by: str
    file: Path


class Tickets(Database):
    """Decisions and tickets on the desk."""

    def proposals(
        self, selection: Selection = ANY, *, limit: int | None = None, after: tuple[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The chosen proposals by time and id; `after` is (time, id) of the last one of the page before."""
        where, params = _where(selection)
        if after is not None:
            where += " AND (p.time, p.id) > (?, ?)"
            params += [_microseconds(after[0]), after[1]]
        bound = f"LIMIT {limit}" if limit is not None else ""
        rows = self._con.execute(f"{_SELECT} WHERE {where} {_ORDER} {bound}", params)
        return [_as_dict(row) for row in rows]

    def proposal(self, beginning: str) -> dict[str, Any]:
        """The one proposal whose id begins so. Raises UnknownProposalError."""
        found = self._con.execute(f"{_SELECT} WHERE p.id = ?", [_resolve(self._con, beginning)])
        return _as_dict(found.fetchone())

    def decisions(self, proposal: str) -> list[dict[str, Any]]:
        """What people said about a proposal, oldest first; `at` in µs UTC."""
        query = 'SELECT action, "by", channel, at, reason FROM decisions WHERE proposal = ? ORDER BY seq'
        return [dict(row) for row in self._con.execute(query, [proposal])]

    def proposal_counts(self) -> dict[str, int]:
        """How many proposals stand where."""
        counted = dict(self._con.execute(f"SELECT {_STANDING}, count(*) FROM proposals p GROUP BY 1").fetchall())
        return {standing.value: counted.get(standing, 0) for standing in Standing}

    def decide(
        self, beginning: str, decision: Decision, *, expected: str | None = None, now: int | None = None
    ) -> dict[str, Any]:
        """Approve or refuse a proposal, for good once it is exported; returns it as it is then.

        Parameters
        ----------
        beginning
            Any unique beginning of its id.
        decision
            What, by whom, and why.
        expected
            The `version` that the person was looking at; if it is another one by now, nothing is decided.
        now
            Microseconds UTC.

        Raises
        ------
        UnknownProposalError
            None, or several, begin so.
        ProposalError
            It is exported, withdrawn, decided so already, or another one than the person saw.
        UsageError
            A refusal without a reason.
        """
        return self.decide_all([(beginning, expected)], decision, now=now)[0]

    def decide_all(
        self, chosen: Sequence[tuple[str, str | None]], decision: Decision, *, now: int | None = None
    ) -> list[dict[str, Any]]:
        """The same for several, all or none: each as (beginning of its id, version that was seen)."""
        if decision.verdict is Verdict.REFUSE and not (decision.reason or "").strip():
            raise UsageError("a refusal needs a reason", hint="say why in a few words")
        at = now_us() if now is None else now
        with self.transaction() as con:
            ids = [_decide(con, beginning, expected, decision, at) for beginning, expected in chosen]
        return [self.proposal(id_) for id_ in ids]

    def begin_batch(self, directory: Path, by: str, first: int, *, now: int | None = None) -> None:
        """Give all approved proposals that have none a number and a place in a new batch; nothing where there are none.

        Numbers go on from the highest that was ever given, or from `first`. On the disk when it returns.
        """
        at = now_us() if now is None else now
        with self.transaction() as con:
            ready = "SELECT id FROM proposals WHERE state = 'approved' AND batch IS NULL ORDER BY time, id"
            ids = [row[0] for row in con.execute(ready).fetchall()]
            if not ids:
                return
            batch, summons = con.execute(
                "SELECT (SELECT coalesce(max(batch), 0) + 1 FROM batches), coalesce(max(summons) + 1, 0) FROM proposals"
            ).fetchone()
            file = str(directory / f"tickets-{batch:06d}.csv")
            con.execute("INSERT INTO batches VALUES (?, ?, ?, ?, FALSE)", [batch, at, by, file])
            for number, id_ in enumerate(ids, max(summons, first)):
                con.execute("UPDATE proposals SET batch = ?, summons = ? WHERE id = ?", [batch, number, id_])
                con.execute("UPDATE violations SET summons = ? WHERE proposal = ?", [number, id_])

    def open_batches(self) -> list[Batch]:
        """Batches that are numbered and not yet finished, in order."""
        rows = self._con.execute('SELECT batch, at, "by", file FROM batches WHERE NOT done ORDER BY batch')
        return [Batch(row[0], row[1], row[2], Path(row[3])) for row in rows]

    def batch(self, number: int) -> Batch:
        """A batch, finished or not. Raises UnknownProposalError."""
        row = self._con.execute('SELECT batch, at, "by", file FROM batches WHERE batch = ?', [number]).fetchone()
        if row is None:
            raise UnknownProposalError(f"there is no batch {number}", hint="see `citywatch tickets list`")
        return Batch(row[0], row[1], row[2], Path(row[3]))

    def place_batch(self, batch: Batch, directory: Path) -> Batch:
        """Let the file of a batch, which is not written yet, be in another directory."""
        file = directory / batch.file.name
        with self.transaction() as con:
            con.execute("UPDATE batches SET file = ? WHERE batch = ? AND NOT done", [str(file), batch.number])
        return replace(batch, file=file)

    def in_batch(self, batch: Batch) -> list[dict[str, Any]]:
        """The tickets of a batch by their numbers."""
        rows = self._con.execute(f"{_SELECT} WHERE p.batch = ? ORDER BY p.summons", [batch.number])
        return [_as_dict(row) for row in rows]

    def finish_batch(self, batch: Batch, event: Callable[[dict[str, Any]], str]) -> None:
        """The file is written: hand the engine an event for each ticket and never touch the batch again.

        Both in one transaction, so that a stop leaves a batch that is open, and is finished the next time.
        """
        at = now_us()
        events = [(event(ticket), at) for ticket in self.in_batch(batch)]
        with self.transaction() as con:
            if con.execute("UPDATE batches SET done = TRUE WHERE batch = ? AND NOT done", [batch.number]).rowcount:
                con.executemany("INSERT INTO inbox (event, at) VALUES (?, ?)", events)


def issued(ticket: dict[str, Any], batch: Batch) -> str:
    """The `ticket.issued` event of a ticket; the same one however often it is made."""
    names = "plate plate_state plate_type violation_code lat lon address street borough precinct image_id"
    names += " vehicle_make vehicle_body vehicle_color vehicle_year issuer_agency device_id summons_number fine"
    data = {name: ticket[name] for name in names.split() if ticket[name] is not None}
    data |= {"proposal": ticket["id"], "violations": ticket["violations"], "issued_at": iso(batch.at)}
    data |= {"time_precision": ticket["time_precision"] or "second"}
    head = {"specversion": "1.0", "id": ticket["summons_number"], "source": SOURCE, "type": TYPE}
    return json.dumps({**head, "subject": ticket["plate"], "time": ticket["time"], "data": data}, ensure_ascii=False)


def _decide(con: Connection, beginning: str, expected: str | None, decision: Decision, at: int) -> str:
    id_ = _resolve(con, beginning)
    row = con.execute(f"SELECT version, {_STANDING} AS standing FROM proposals p WHERE id = ?", [id_]).fetchone()
    if expected is not None and expected != row["version"]:
        raise ProposalError(f"proposal {id_[:12]} has changed since you looked", hint="look again, then decide")
    if row["standing"] in (Standing.EXPORTED, Standing.WITHDRAWN, decision.verdict.standing):
        raise ProposalError(f"proposal {id_[:12]} is {row['standing']}: {decision.verdict} is not possible")
    con.execute(
        "UPDATE proposals SET state = ?, decided_by = ?, decided_at = ?, reason = ?, updated_at = ? WHERE id = ?",
        [decision.verdict.standing, decision.by, at, decision.reason, at, id_],
    )
    con.execute(
        'INSERT INTO decisions (proposal, action, "by", channel, at, reason) VALUES (?, ?, ?, ?, ?, ?)',
        [id_, decision.verdict, decision.by, decision.channel, at, decision.reason],
    )
    return id_


def _resolve(con: Connection, beginning: str) -> str:
    text = beginning.strip().lower()
    if not text or not set(text) <= set("0123456789abcdef"):
        raise UnknownProposalError(f"{beginning!r} is no beginning of a proposal's id", hint=_LIST)
    found = con.execute("SELECT id FROM proposals WHERE id >= ? AND id < ? LIMIT 2", [text, text + "g"]).fetchall()
    if len(found) != 1:
        what = "several proposals begin" if found else "no proposal begins"
        raise UnknownProposalError(f"{what} with {text}", hint=_LIST)
    return str(found[0][0])


_LIST = "see `citywatch tickets list`"


def _microseconds(text: str) -> int:
    """Back from the form of the contract. Raises UsageError."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{text!r} is no time") from error


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _where(selection: Selection) -> tuple[str, list[Any]]:
    parts: list[str] = ["TRUE"]
    params: list[Any] = []
    chosen = ((_STANDING, selection.standings), ("p.code", selection.codes), ("p.id", selection.ids))
    for column, values in chosen:
        if values:
            parts.append(f"{column} IN ({', '.join('?' * len(values))})")
            params.extend(values)
    return " AND ".join(parts), params


def _as_dict(row: Row) -> dict[str, Any]:
    """A proposal as the command line prints it."""
    details = json.loads(row["details"])
    violations = sorted(tuple(found) for found in json.loads(row["violations"]))
    return {
        "id": row["id"],
        "state": row["standing"],
        "plate": row["plate"],
        "plate_state": row["plate_state"],
        "violation_code": row["code"],
        **price(row["code"], details),
        "time": iso(row["time"]),
        "last_seen": iso(row["last"]),
        "count": row["sightings"],
        **{name: details.get(name) for name in DETAILS},
        "violations": [{"source": source, "id": id_} for source, id_, _ in violations],
        "ticketed": sorted({str(number) for *_, number in violations if number not in (None, row["summons"])}),
        "decided_by": row["decided_by"],
        "decided_at": iso(row["decided_at"]) if row["decided_at"] else None,
        "reason": row["reason"],
        "summons_number": str(row["summons"]) if row["summons"] is not None else None,
        "batch": row["batch"],
        "version": row["version"],
    }
