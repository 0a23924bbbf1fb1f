"""Who looked at what is hidden from others, and why; which vehicles and persons they saw.

Of those only keyed hashes are kept: whoever knows a plate finds who looked it up, nobody reads plates out of the log,
also when the alerts themselves are long forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from citywatch.errors import UnknownAlertError
from citywatch.masking import Subject, subject, subjects
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.database import Database, now_us
from citywatch.stores.desk.reading import alert_at, resolve
from citywatch.triage import Asked

_INSERT = "INSERT INTO audit (at, who, what, alert, purpose) VALUES (?,?,?,?,?) RETURNING seq"


class Audit(Database):
    """The audit log."""

    def audit(self, who: str, what: str, *, alert: str | None = None, purpose: str | None = None) -> None:
        """Record that somebody saw what is hidden from others, and why; without an alert: whole lists of it."""
        self.audit_alerts(who, what, [alert], purpose=purpose)

    def audit_alerts(
        self, who: str, what: str, alerts: Sequence[str | None], *, purpose: str | None = None, now: int | None = None
    ) -> None:
        """Record the same for each of several alerts, by their ids, at once."""
        at = now_us() if now is None else now
        with self.transaction() as con:
            key = _key(con)
            for alert in alerts:
                row = [at, who, what, alert, purpose]
                seq = con.execute(_INSERT, row).fetchone()[0]
                digests = {_digest(key, subject) for subject in _subjects(con, alert)}
                con.executemany("INSERT INTO audit_subjects VALUES (?, ?)", [(digest, seq) for digest in digests])

    def audit_proposals(
        self, who: str, what: str, proposals: Sequence[str], *, purpose: str | None = None, now: int | None = None
    ) -> None:
        """Record that somebody saw the plates of proposals, by their ids, at once."""
        at = now_us() if now is None else now
        with self.transaction() as con:
            key = _key(con)
            for id_ in proposals:
                row = [at, who, f"{what} of proposal {id_[:12]}", None, purpose]
                seq = con.execute(_INSERT, row).fetchone()[0]
                plates = con.execute("SELECT plate FROM proposals WHERE id = ?", [id_]).fetchall()
                digests = [(_digest(key, subject("plate", plate)), seq) for (plate,) in plates]
                con.executemany("INSERT INTO audit_subjects VALUES (?, ?)", digests)

    def audited(self, asked: Asked | int = 100) -> list[dict[str, Any]]:
        """Entries of the log, latest first; a number is that many of all.

        With a subject: the reads that showed it, and as `sure: False` those of whole lists, which may have.
        """
        asked = Asked(limit=asked) if isinstance(asked, int) else asked
        shown = "EXISTS (SELECT 1 FROM audit_subjects s WHERE s.seq = a.seq AND s.digest = :digest)"
        exact = "(a.alert IS NOT NULL OR EXISTS (SELECT 1 FROM audit_subjects s WHERE s.seq = a.seq))"
        parts = {
            "a.who = :who": asked.who,
            "a.alert >= :alert AND a.alert < :alert || 'g'": asked.alert and asked.alert.lower(),
            "a.at >= :since": asked.since,
            "a.at < :until": asked.until,
            "a.seq < :before": asked.before,
            f"(NOT {exact} OR {shown})": asked.subject,
        }
        conditions = " AND ".join(["TRUE", *(part for part, value in parts.items() if value is not None)])
        params = {name: getattr(asked, name) for name in ("who", "since", "until", "before", "limit")}
        digest = _digest(_key(self._con), asked.subject) if asked.subject else None
        rows = self._con.execute(
            f"SELECT seq, at, who, what, alert, purpose, {exact} AS sure FROM audit a WHERE {conditions} "
            "ORDER BY seq DESC LIMIT :limit",
            {**params, "alert": asked.alert and asked.alert.lower(), "digest": digest},
        )
        return [{**row, "sure": bool(row["sure"])} for row in rows]


def _subjects(con: Connection, alert: str | None) -> set[Subject]:
    """Who and what stands in the alert, as it is now; nothing where it is gone."""
    if alert is None:
        return set()
    try:
        return subjects(alert_at(con, resolve(con, alert)))
    except UnknownAlertError:
        return set()


def _key(con: Connection) -> bytes:
    key: bytes = con.execute("SELECT value FROM secrets WHERE name = 'audit'").fetchone()[0]
    return key


def _digest(key: bytes, subject: Subject) -> bytes:
    field, value = subject
    return hmac.digest(key, f"{field}\0{value}".encode(), hashlib.sha256)[:16]
