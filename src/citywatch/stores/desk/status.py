"""What the engine and the console say about themselves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from citywatch.stores.desk.database import Database, now_us

UPSERT = "INSERT INTO status VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = excluded.at"


class Status(Database):
    """Key-values."""

    def set_status(self, values: Mapping[str, Any], *, now: int | None = None) -> None:
        """Write values (anything JSON) under their keys; the others stay."""
        at = now_us() if now is None else now
        rows = [(key, json.dumps(value), at) for key, value in values.items()]
        with self.transaction() as con:
            con.executemany(UPSERT, rows)

    def status(self) -> dict[str, Any]:
        """All key-values."""
        return {row[0]: json.loads(row[1]) for row in self._con.execute("SELECT key, value FROM status ORDER BY key")}

    def status_age(self, key: str, *, now: int | None = None) -> int | None:
        """Microseconds since that key was written; None when it never was."""
        row = self._con.execute("SELECT at FROM status WHERE key = ?", [key]).fetchone()
        return (now_us() if now is None else now) - int(row[0]) if row else None

    def directory_name(self) -> str:
        """The name of this data directory among others, for those who keep copies of several; given once."""
        known: str | None = self.status().get("directory")
        if known is None:
            known = uuid.uuid4().hex
            self.set_status({"directory": known})
        return known
