"""What people do with alerts: each action is a row that stays, and the state it leads to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from citywatch.alert import Action, Outcome, State, next_state
from citywatch.errors import AlertError, UsageError
from citywatch.settings import MINUTE
from citywatch.stores.desk.connection import Connection, Row
from citywatch.stores.desk.corrections import TYPE, closed
from citywatch.stores.desk.database import Database, now_us
from citywatch.stores.desk.reading import resolve
from citywatch.stores.desk.states import Entry, Standing, record, standing, wake_shelved
from citywatch.triage import Wish, correctable
from citywatch.wording import iso

SOURCE = "citywatch/desk"
"""The `source` of the events that people make here."""

UNDO_WITHIN = MINUTE

CODE_LIMIT = 32_767
"""A violation code is a SMALLINT."""

YEAR_10000 = 253_402_300_800_000_000
"""In µs: no time from then on can be written down."""


class Work(Database):
    """People's side of the desk."""

    def act(self, alert: str, wish: Wish, *, expected: int | None = None, now: int | None = None) -> str:
        """Do what `wish` says, at once and for good, and return the full id of the alert.

        Parameters
        ----------
        alert
            Any unique beginning of its id.
        wish
            Who wants what.
        expected
            The version that the person was looking at (`Listed.version`); if the alert has moved on since, the
            action is refused. None: whatever it is.
        now
            Microseconds UTC.

        Raises
        ------
        UnknownAlertError
            No alert, or several, begin so.
        AlertError
            The action is not allowed in the alert's state, or somebody was quicker.
        UsageError
            The wish lacks what its action needs.
        """
        now = now_us() if now is None else now
        _check(wish, now)
        with self.transaction() as con:
            fact = resolve(con, alert)
            before = standing(con, fact).seen_at(now)
            if expected is not None and expected != before.version:
                raise AlertError(
                    f"alert {_short(con, fact)} has changed since you looked", hint="look again, then decide"
                )
            if wish.action is Action.UNDO:
                _undo(con, fact, wish, before, now)
            else:
                _do(con, fact, wish, before, now)
            return _id(con, fact)

    def wake(self, now: int | None = None) -> int:
        """Bring the shelved alerts whose time is over back open; returns how many. Without any it only reads."""
        now = now_us() if now is None else now
        due = "SELECT 1 FROM states WHERE state = ? AND until <= ? LIMIT 1"
        if self._con.execute(due, [State.SHELVED, now]).fetchone() is None:
            return 0
        with self.transaction() as con:
            return wake_shelved(con, now)

    def history(self, alert: str) -> list[dict[str, Any]]:
        """All that was done with an alert, oldest first; `at` in microseconds UTC."""
        rows = self._con.execute(
            'SELECT seq, action, "by", channel, at, note, outcome, assignee, until, code, correction_source, '
            "correction_id, data, undoes, state FROM actions WHERE fact = ? ORDER BY seq",
            [resolve(self._con, alert)],
        )
        return [dict(row) for row in rows]

    def put_inbox(self, events: Sequence[str], *, now: int | None = None) -> None:
        """Leave events (CloudEvents JSON) for the engine, which takes them in when it looks here next."""
        at = now_us() if now is None else now
        with self.transaction() as con:
            con.executemany("INSERT INTO inbox (event, at) VALUES (?, ?)", [(event, at) for event in events])

    def take_inbox(self, limit: int = 1000) -> list[tuple[int, str]]:
        """(number, CloudEvents JSON) of the events that people made and the engine has not taken in yet."""
        rows = self._con.execute("SELECT seq, event FROM inbox ORDER BY seq LIMIT ?", [limit]).fetchall()
        return [(row[0], row[1]) for row in rows]

    def clear_inbox(self, upto: int) -> None:
        """Forget the events up to that number: they stand in the log now."""
        with self.transaction() as con:
            con.execute("DELETE FROM inbox WHERE seq <= ?", [upto])


def _check(wish: Wish, now: int) -> None:
    match wish.action:
        case Action.CLOSE if wish.outcome not in set(Outcome):
            raise UsageError(f"an alert is closed with an outcome: {', '.join(Outcome)}")
        case Action.ASSIGN if not wish.assignee:
            raise UsageError("say to whom the alert is assigned")
        case Action.SHELVE if wish.until is None or not now < wish.until < YEAR_10000:
            raise UsageError("an alert is shelved until a time that is still to come, before the year 10000")
        case Action.NOTE if not wish.note:
            raise UsageError("a note needs words")
        case Action.CORRECT if wish.code is None or not 0 <= wish.code <= CODE_LIMIT:
            raise UsageError("a correction needs the right violation code, a number from 0")
        case _:
            return


def _do(con: Connection, fact: int, wish: Wish, before: Standing, now: int) -> None:
    state = next_state(before.state, wish.action)
    if state is None:
        raise AlertError(
            f"alert {_short(con, fact)} is {before.state}: {wish.action} is not possible", hint=_last_word(con, fact)
        )
    entry = Entry(fact, wish.action, wish.by, wish.channel, now, wish.note)
    match wish.action:
        case Action.ASSIGN:
            after = replace(before, state=state, until=None, assignee=wish.assignee)
            entry = replace(entry, assignee=wish.assignee)
        case Action.SHELVE:
            after = replace(before, state=state, until=wish.until)
            entry = replace(entry, until=wish.until)
        case Action.CLOSE:
            after = closed(con, fact, before, str(wish.outcome))
            entry = replace(entry, outcome=wish.outcome)
        case Action.CORRECT:
            after = closed(con, fact, before, Outcome.CORRECTED)
            corrected = _event_to_correct(con, fact, wish.event)
            entry = _send(con, replace(entry, outcome=after.outcome), _correction(corrected, wish.by, wish.code))
        case _:
            after = replace(before, state=state, until=before.until if wish.action is Action.NOTE else None)
    record(con, entry, before, after, raise_again=False)


def _undo(con: Connection, fact: int, wish: Wish, before: Standing, now: int) -> None:
    last = con.execute(
        "SELECT * FROM actions WHERE fact = ? AND action NOT IN ('note', 'undo', 'unshelve') AND seq NOT IN "
        "(SELECT undoes FROM actions WHERE fact = ? AND undoes IS NOT NULL) ORDER BY seq DESC LIMIT 1",
        [fact, fact],
    ).fetchone()
    if last is None:
        raise AlertError(f"nothing was done with alert {_short(con, fact)} that could be undone")
    if last["channel"] in ("engine", "event"):
        raise AlertError(f"the last change of alert {_short(con, fact)} was not made by a person: {last['action']}")
    if now - last["at"] > UNDO_WITHIN:
        raise AlertError(
            f"{last['action']} of alert {_short(con, fact)} is more than a minute ago", hint="act anew instead"
        )
    after = replace(Standing.from_text(last["before"]).seen_at(now), reopened=before.reopened)
    entry = Entry(fact, Action.UNDO, wish.by, wish.channel, now, wish.note, undoes=last["seq"])
    if last["action"] == Action.CORRECT:
        entry = _send(con, entry, _correction_back(last, wish.by))
    record(con, entry, before, after, raise_again=False)


def _id(con: Connection, fact: int) -> str:
    found: bytes = con.execute("SELECT id FROM facts WHERE n = ?", [fact]).fetchone()[0]
    return found.hex()


def _short(con: Connection, fact: int) -> str:
    return _id(con, fact)[:12]


def _last_word(con: Connection, fact: int) -> str | None:
    row = con.execute(
        "SELECT action, \"by\", at FROM actions WHERE fact = ? AND action <> 'note' ORDER BY seq DESC LIMIT 1", [fact]
    ).fetchone()
    return f"{row['action']} by {row['by']} at {iso(row['at'])}" if row else None


def _event_to_correct(con: Connection, fact: int, wanted: tuple[str, str] | None) -> dict[str, Any]:
    evidence = json.loads(con.execute("SELECT evidence FROM facts WHERE n = ?", [fact]).fetchone()[0] or "[]")
    fitting = [e for e in evidence if ((e["source"], e["id"]) == wanted if wanted else correctable(e))]
    if len(fitting) == 1:
        found: dict[str, Any] = fitting[0]
        return found
    if wanted:
        raise AlertError(f"event {wanted[1]} of {wanted[0]} is not in the evidence of alert {_short(con, fact)}")
    if not fitting:
        raise AlertError(
            f"nothing in the evidence of alert {_short(con, fact)} is a violation that could have another code"
        )
    raise AlertError(
        f"{len(fitting)} violations stand in the evidence of alert {_short(con, fact)}",
        hint=f"say which one: {', '.join(e['id'] for e in fitting)}",
    )


def _correction(event: dict[str, Any], by: str, code: int | None) -> dict[str, Any]:
    before = (event.get("data") or {}).get("violation_code")
    corrects = {"corrects_source": event["source"], "corrects_id": event["id"]}
    return {**corrects, "violation_code": code, "code_before": before, "corrected_by": by}


def _correction_back(correction: Row, by: str) -> dict[str, Any]:
    """What takes a correction made here back: the first code again, and the id of what it undoes."""
    made = json.loads(correction["data"])
    again = {"violation_code": made["code_before"], "code_before": made["violation_code"], "corrected_by": by}
    return {**made, **again, "undoes": correction["correction_id"]}


def _send(con: Connection, entry: Entry, data: dict[str, Any]) -> Entry:
    """Put a `violation.corrected` event where the engine takes it in, and name it in the entry."""
    event = uuid.uuid4().hex
    message = {"specversion": "1.0", "id": event, "source": SOURCE, "type": TYPE, "time": iso(entry.at), "data": data}
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    con.execute("INSERT INTO inbox (event, at) VALUES (?, ?)", [text, entry.at])
    return replace(entry, code=data["violation_code"], correction=(SOURCE, event), data=json.dumps(data))
