"""The API of an Airflow."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

PATIENCE_S = 180
BUSY = 503
REFUSED = '"reason":"Database error"'
"""SQLite waits for nobody where a transaction that has read wants to write, and another has written meanwhile."""


class Api:
    """`address` as http://host:port; `who` signs in with name and password, where not everybody is let in."""

    def __init__(self, address: str, who: dict[str, str] | None = None) -> None:
        self._address, self._who = address, who
        self._token = ""

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """What the API says; asked again while SQLite, in which the Airflow keeps itself, is busy."""
        self._token = self._token or self._asked("/auth/token", self._who)["access_token"]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._asked(f"/api/v2/{path}", body, method)
            except urllib.error.HTTPError as error:
                said = error.read().decode()
                busy = error.code == BUSY or REFUSED in said
                if not busy or time.monotonic() > deadline:
                    raise AssertionError(f"{path}: {error.code} {said}") from error
            time.sleep(0.5)

    def _asked(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._address}{path}", data, headers, method=method)  # noqa: S310 - as below
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - always http
            return json.load(answer)
