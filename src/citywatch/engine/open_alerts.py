"""An alert whose bucket may still get matches, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

OPEN_ALERT = pa.schema(
    [
        pa.field(name, pa.int64() if name == "expiry" else pa.string())
        for name in ("id", "rule", "version", "expiry", "body")
    ]
)
"""Rows of the table `open_alert`."""

Order = tuple[int, str, str]
"""(time, source, id)."""


class Ident(NamedTuple):
    """What makes matches one alert inside an engine: the rule, a hash or text of the key, the bucket."""

    rule: str
    key: Hashable
    bucket: int


@dataclass(slots=True)
class OpenAlert:
    """An alert whose bucket may get matches. Times in µs; `first` is the match event, `first_at` its match time."""

    rule: str
    version: str
    key: Hashable
    bucket: int
    expiry: int
    id: str = ""
    group: str = ""
    first_at: int = 0
    first_t: int = 0
    first_ref: int = 0
    first: Order = (0, "", "")
    stream: int = 0
    last_at: int = 0
    count: int = 0
    late: bool = False
    lat: float | None = None
    lon: float | None = None
    address: str | None = None
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    inconclusive: bool = False
    silent: bool = False
    entries: list[Order] = field(default_factory=list)

    @property
    def ident(self) -> Ident:
        """What makes it one alert."""
        return Ident(self.rule, self.key, self.bucket)

    def row(self) -> dict[str, Any]:
        """What is kept in the state; `body` is a JSON array in the order of the fields."""
        body = json.dumps([getattr(self, name) for name in self.__slots__], ensure_ascii=False)
        return {"id": self.id, "rule": self.rule, "version": self.version, "expiry": self.expiry, "body": body}

    @classmethod
    def from_body(cls, body: str) -> OpenAlert:
        """From the JSON that is kept in the state."""
        alert = cls(*json.loads(body))
        alert.first = (alert.first[0], alert.first[1], alert.first[2])
        alert.entries = [(t, source, id_) for t, source, id_ in alert.entries]
        return alert


def alert_id(rule_id: str, version: str, key: Sequence[Any], bucket: int) -> str:
    """SHA-256 of the JSON array [rule id, version, [key values], bucket] without blanks, non-ASCII unescaped."""
    text = json.dumps([rule_id, version, list(key), bucket], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
