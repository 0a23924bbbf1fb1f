"""What a person at the command line wants done by the engine that holds the data directory, and its answer."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from citywatch.settings import DAY
from citywatch.stores.desk.database import Database, now_us
from citywatch.stores.desk.status import UPSERT

_ASKED, _ANSWERED = "request:", "answer:"


@dataclass(frozen=True, slots=True)
class Request:
    """`what` is to be done, as `how` says (anything JSON)."""

    id: str
    what: str
    how: Any


class Requests(Database):
    """Requests and answers; each is read once and forgotten."""

    def ask(self, what: str, how: Any = None) -> str:
        """Leave a request; gives back its id."""
        request = uuid.uuid4().hex
        self._write(f"{_ASKED}{request}", {"what": what, "how": how})
        return request

    def take_request(self) -> Request | None:
        """The oldest request that nobody has taken; it is this engine's from now on."""
        query = "SELECT key, value FROM status WHERE key LIKE ? ORDER BY at, key LIMIT 1"
        row = self._con.execute(query, [f"{_ASKED}%"]).fetchone()
        if row is None:
            return None
        self._erase(row["key"])
        return Request(row["key"].removeprefix(_ASKED), **json.loads(row["value"]))

    def answer(self, request: Request, answer: Any) -> None:
        """Say what came of a request. Answers that nobody has read for a day are forgotten."""
        self._write(f"{_ANSWERED}{request.id}", answer)
        with self.transaction() as con:
            con.execute("DELETE FROM status WHERE key LIKE ? AND at < ?", [f"{_ANSWERED}%", now_us() - DAY])

    def take_answer(self, request: str) -> Any:
        """What came of a request, None while nothing has."""
        row = self._con.execute("SELECT value FROM status WHERE key = ?", [f"{_ANSWERED}{request}"]).fetchone()
        if row is None:
            return None
        self._erase(f"{_ANSWERED}{request}")
        return json.loads(row["value"])

    def take_back(self, request: str) -> bool:
        """Take a request back; False when an engine has taken it."""
        return self._erase(f"{_ASKED}{request}")

    def _write(self, key: str, value: Any) -> None:
        with self.transaction() as con:
            con.execute(UPSERT, [key, json.dumps(value), now_us()])

    def _erase(self, key: str) -> bool:
        with self.transaction() as con:
            return con.execute("DELETE FROM status WHERE key = ?", [key]).rowcount == 1
