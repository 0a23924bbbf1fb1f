"""What the engine says about itself, and who looked at what is hidden."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from citywatch.stores.desk.database import Database, now_us


class Status(Database):
    """Key-values and the audit log."""

    def set_status(self, values: Mapping[str, Any], *, now: int | None = None) -> None:
        """Write values (anything JSON) under their keys; the others stay."""
        at = now_us() if now is None else now
        rows = [(key, json.dumps(value), at) for key, value in values.items()]
        with self.transaction() as con:
            con.executemany("INSERT OR REPLACE INTO status VALUES (?, ?, ?)", rows)

    def status(self) -> dict[str, Any]:
        """All key-values."""
        return {row[0]: json.loads(row[1]) for row in self._con.execute("SELECT key, value FROM status ORDER BY key")}

    def status_age(self, key: str, *, now: int | None = None) -> int | None:
        """Microseconds since that key was written; None when it never was."""
        row = self._con.execute("SELECT at FROM status WHERE key = ?", [key]).fetchone()
        return (now_us() if now is None else now) - int(row[0]) if row else None

    def audit(self, who: str, what: str, *, alert: str | None = None, purpose: str | None = None) -> None:
        """Record that somebody saw what is hidden from others, and why."""
        with self.transaction() as con:
            row = [now_us(), who, what, alert, purpose]
            con.execute("INSERT INTO audit (at, who, what, alert, purpose) VALUES (?, ?, ?, ?, ?)", row)

    def audited(self, limit: int = 100) -> list[dict[str, Any]]:
        """The latest entries of the audit log, latest first."""
        rows = self._con.execute("SELECT at, who, what, alert, purpose FROM audit ORDER BY seq DESC LIMIT ?", [limit])
        return [dict(row) for row in rows]
