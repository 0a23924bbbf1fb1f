"""What the engine reads from the desk and writes there beside alerts: the inbox, and how it stands."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

import pyarrow as pa

from citywatch.engine.embedded.hearing import Silence
from citywatch.settings import SECOND
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

OUTAGE = "engine.outage"
"""Type of the event that says: from .. until .. nothing was heard."""

_REPORT_EVERY_S = 2.0
_NAME = "directory"


class DeskSide:
    """The engine's own connection to the desk; of use to any thread."""

    def __init__(self, data: DataDirectory, *, live: int) -> None:
        self._desk = Desk(data.desk, live=live)
        self._lock = threading.Lock()
        self._reported = 0.0
        self._status: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._status:
                self._desk.set_status({"engine": self._status})
        self._desk.close()

    def counts(self, events: int) -> dict[str, int] | None:
        """The totals that were reported last, when no event was accepted since; the log has those of its segments."""
        with self._lock:
            counts = self._desk.status().get("engine", {}).get("counts")
        return counts if counts and counts["events"] == events else None

    def name(self) -> str:
        """A name of this data directory that no other has, unless it is a copy."""
        with self._lock:
            if not self._desk.has_cursor(_NAME):
                self._desk.move_cursor(_NAME, secrets.randbits(48))
            return f"{self._desk.cursor(_NAME):012x}"

    def reached(self, names: Sequence[str]) -> dict[str, int]:
        """How far parts of logs are read; those that never were are left out."""
        with self._lock:
            return {name: self._desk.cursor(name) for name in names if self._desk.has_cursor(name)}

    def born(self) -> int:
        """How many alerts there have ever been."""
        with self._lock:
            return sum(row[-1] for row in self._desk.tallies())

    def inbox(self) -> list[tuple[int, str]]:
        """(number, CloudEvents JSON) of what people made and the engine has not taken in."""
        with self._lock:
            return self._desk.take_inbox()

    def clear_inbox(self, upto: int) -> None:
        """What is numbered up to `upto` stands in the log now."""
        with self._lock:
            self._desk.clear_inbox(upto)

    def tell(self, facts: pa.Table) -> None:
        """Alerts about the engine itself; see `alert.facts_schema`."""
        if len(facts):
            with self._lock:
                self._desk.put_facts(facts)

    def was_live(self) -> bool:
        """Whether live sources have ever been listened to here."""
        with self._lock:
            return bool(self._desk.status().get("live"))

    def set_live(self) -> None:
        """Live sources are being listened to."""
        with self._lock:
            self._desk.set_status({"live": True})

    def report(self, status: dict[str, Any]) -> None:
        """Write how the engine stands, every two seconds at most, and when it closes."""
        with self._lock:
            self._status = status
            if time.monotonic() - self._reported >= _REPORT_EVERY_S:
                self._desk.set_status({"engine": status})
                self._reported = time.monotonic()


def outage_event(since: int, until: int) -> str:
    """The event that says that nothing was heard between two times (µs)."""
    span = {"from": _iso(since), "until": _iso(until)}
    event = {"specversion": "1.0", "id": f"{since}-{until}", "source": "citywatch/engine", "type": OUTAGE}
    return json.dumps({**event, "time": _iso(until), "data": span})


def silence_event(silence: Silence) -> str:
    """The event that says that a live source is silent, without `until` while it lasts."""
    at = silence.since if silence.until is None else silence.until
    span = {"from": _iso(silence.since)} | ({} if silence.until is None else {"until": _iso(silence.until)})
    ident = f"{silence.source} {silence.since}" + ("" if silence.until is None else f"-{silence.until}")
    event = {"specversion": "1.0", "id": ident, "source": "citywatch/engine", "type": OUTAGE, "subject": silence.source}
    return json.dumps({**event, "time": _iso(at), "data": {**span, "reason": silence.why}})


def _iso(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // SECOND, UTC).replace(microsecond=time_us % SECOND)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
