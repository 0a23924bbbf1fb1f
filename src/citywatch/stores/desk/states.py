"""Where an alert stands in people's work: the log of actions is the truth, `states` is where it leads.

Everything here runs inside the caller's transaction.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

from citywatch.alert import State
from citywatch.stores.desk.connection import Connection
from citywatch.stores.desk.database import ENGINE, last_change

_WRITTEN = ("state", "outcome", "assignee", "until", "version", "closed_count", "reopened", "updated_at")

_UPSERT = (
    f"INSERT INTO states (fact, {', '.join(_WRITTEN)}) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (fact) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """State of one alert. `version` is the number of its last action; `until` ends a shelving, microseconds.

    `closed_count` is how many matches it had when it was closed; `reopened`: new matches have opened it again once.
    """

    state: State = State.OPEN
    outcome: str | None = None
    assignee: str | None = None
    until: int | None = None
    version: int = 0
    closed_count: int | None = None
    reopened: bool = False
    updated_at: int = 0

    def seen_at(self, now: int) -> Standing:
        """As it is at `now`: a shelved alert whose time is over is open."""
        if self.state is State.SHELVED and self.until is not None and self.until <= now:
            return replace(self, state=State.OPEN, until=None, updated_at=self.until)
        return self

    def as_text(self) -> str:
        """What undo has to bring back, as JSON."""
        kept = asdict(self)
        del kept["version"], kept["updated_at"]
        return json.dumps(kept)

    @classmethod
    def from_text(cls, text: str) -> Standing:
        """The reverse of `as_text`."""
        kept = json.loads(text)
        return cls(**{**kept, "state": State(kept["state"])})


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log of actions. `data` is what a correction says, as JSON."""

    fact: int
    action: str
    by: str
    channel: str
    at: int
    note: str | None = None
    outcome: str | None = None
    assignee: str | None = None
    until: int | None = None
    code: int | None = None
    correction: tuple[str | None, str | None] = field(default=(None, None))
    data: str | None = None
    undoes: int | None = None


def standing(con: Connection, fact: int) -> Standing:
    """Where the alert stands, as last written."""
    row = con.execute(
        "SELECT state, outcome, assignee, until, version, closed_count, reopened, updated_at FROM states "
        "WHERE fact = ?",
        [fact],
    ).fetchone()
    return Standing(**{**row, "state": State(row["state"]), "reopened": bool(row["reopened"])}) if row else Standing()


def record(con: Connection, entry: Entry, before: Standing, after: Standing, *, raise_again: bool) -> int:
    """Append `entry` to the log, write where it leads, and move the alert to the end of the stream.

    `raise_again`: the alert wants attention again. Returns the number of the action.
    """
    row = con.execute(
        'INSERT INTO actions (fact, action, "by", channel, at, note, outcome, assignee, until, code, '
        "correction_source, correction_id, data, undoes, before, state) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "RETURNING seq",
        (
            *(entry.fact, entry.action, entry.by, entry.channel, entry.at, entry.note, entry.outcome, entry.assignee),
            *(entry.until, entry.code, *entry.correction, entry.data, entry.undoes, before.as_text(), after.state),
        ),
    ).fetchone()
    version = int(row[0])
    con.execute(
        _UPSERT,
        (
            *(entry.fact, after.state, after.outcome, after.assignee, after.until, version),
            *(after.closed_count, after.reopened, entry.at),
        ),
    )
    number = last_change(con) + 1
    con.execute(
        "UPDATE facts SET change = ?, raised = CASE WHEN ? THEN ? ELSE raised END WHERE n = ?",
        [number, raise_again, number, entry.fact],
    )
    return version


def reopen_grown(con: Connection, base: int, now: int) -> None:
    """Open closed alerts again that changed after number `base` and have new matches; each once, with a note."""
    grown = con.execute(
        'SELECT f.n, f."count" - s.closed_count FROM facts f CROSS JOIN states s ON s.fact = f.n '
        'WHERE f.change > ? AND s.state = ? AND NOT s.reopened AND f."count" > s.closed_count',
        [base, State.CLOSED],
    ).fetchall()
    for fact, matches in grown:
        before = standing(con, fact)
        after = replace(before, state=State.OPEN, outcome=None, until=None, closed_count=None, reopened=True)
        note = f"{matches} new match{'es' if matches > 1 else ''} since it was closed"
        record(con, Entry(fact, "reopen", ENGINE, "engine", now, note), before, after, raise_again=True)


def wake_shelved(con: Connection, now: int) -> int:
    """Open the shelved alerts whose time is over; returns how many."""
    due = con.execute(
        "SELECT fact, until FROM states WHERE state = ? AND until <= ? ORDER BY until, fact", [State.SHELVED, now]
    ).fetchall()
    for fact, until in due:
        before = standing(con, fact)
        entry = Entry(fact, "unshelve", ENGINE, "engine", until, "its time on the shelf is over")
        record(con, entry, before, before.seen_at(now), raise_again=True)
    return len(due)
