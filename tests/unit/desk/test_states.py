"""The table of states of the contract, against a model of it that knows nothing of the desk."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from citywatch.alert import Action
from citywatch.errors import AlertError, UnknownAlertError, UsageError
from citywatch.settings import MINUTE, SECOND
from citywatch.stores.desk import Desk
from citywatch.triage import Choice, Wish

from .facts import NOW, alert_id, fact, table

# The rows and columns of section 3; None is 409.
TABLE: dict[tuple[str, str], str | None] = {
    ("open", "ack"): "acknowledged",
    ("open", "assign"): "acknowledged",
    ("open", "shelve"): "shelved",
    ("open", "close"): "closed",
    ("open", "correct"): "closed",
    ("acknowledged", "ack"): "acknowledged",
    ("acknowledged", "assign"): "acknowledged",
    ("acknowledged", "shelve"): "shelved",
    ("acknowledged", "close"): "closed",
    ("acknowledged", "correct"): "closed",
    ("shelved", "ack"): "acknowledged",
    ("shelved", "assign"): "acknowledged",
    ("shelved", "shelve"): "shelved",
    ("shelved", "close"): "closed",
    ("shelved", "correct"): "closed",
    **{("closed", action): None for action in ("ack", "assign", "shelve", "close", "correct")},
}

FULL: dict[str, dict[str, object]] = {
    "ack": {},
    "assign": {"assignee": "Bo"},
    "shelve": {"until": NOW + 30 * MINUTE},
    "close": {"outcome": "false_positive"},
    "correct": {"code": 38},
    "note": {"note": "looked at it"},
}


def wish(action: str, **details: object) -> Wish:
    return Wish(Action(action), by="anna", channel="cli", **{**FULL.get(action, {}), **details})  # type: ignore[arg-type]  # words of many types


def state(desk: Desk, now: int = NOW) -> str:
    return str(desk.alert(alert_id(1), now=now).alert["state"])


@pytest.mark.parametrize(("before", "action"), TABLE)
def test_each_cell_of_the_table(desk: Desk, before: str, action: str) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    way = {"open": [], "acknowledged": ["ack"], "shelved": ["shelve"], "closed": ["close"]}[before]
    for step in way:
        desk.act(alert_id(1), wish(step), now=NOW)
    wanted = TABLE[before, action]
    if wanted is None:
        with pytest.raises(AlertError, match="is closed"):
            desk.act(alert_id(1), wish(action), now=NOW + 1)
        assert state(desk) == "closed"
        return
    desk.act(alert_id(1), wish(action), now=NOW + 1)
    assert state(desk) == wanted
    desk.act(alert_id(1), wish("undo"), now=NOW + 2)
    assert state(desk) == before


@dataclass
class Seen:
    """What the model believes of the alert."""

    state: str = "open"
    outcome: str | None = None
    assignee: str | None = None
    until: int | None = None
    closed_count: int = 0


@dataclass
class Done:
    """Something that undo could take back, or that stands in its way."""

    before: Seen
    at: int
    by_person: bool = True


@dataclass
class Model:
    seen: Seen = field(default_factory=Seen)
    count: int = 1
    reopened: bool = False
    done: list[Done] = field(default_factory=list)


class Triage(RuleBasedStateMachine):
    """Anything in any order: people act, time goes on, the alert grows, facts come again."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.desk = Desk(Path(self.directory.name) / "desk.sqlite")
        self.model = Model()
        self.now = NOW

    def teardown(self) -> None:
        self.desk.close()
        self.directory.cleanup()

    @initialize()
    def born(self) -> None:
        self.desk.put_facts(table([fact(1)]), now=self.now)

    @rule(seconds=st.sampled_from([0, 1, 29, 30, 31, 59, 60, 61, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self._wake()

    def _wake(self) -> None:
        seen = self.model.seen
        if seen.state == "shelved" and seen.until is not None and seen.until <= self.now:
            self.model.seen = Seen("open", None, seen.assignee)

    @rule()
    def somebody_wakes_the_desk(self) -> None:
        self.desk.wake(self.now)

    @rule(action=st.sampled_from(["ack", "assign", "shelve", "close", "correct"]), seconds=st.integers(1, 90))
    def a_person_acts(self, action: str, seconds: int) -> None:
        until = self.now + seconds * SECOND
        asked = wish(action, until=until)
        seen = self.model.seen
        after = TABLE[seen.state, action]
        if after is None:
            with pytest.raises(AlertError):
                self.desk.act(alert_id(1), asked, now=self.now)
            return
        self.desk.act(alert_id(1), asked, now=self.now)
        self.model.done.append(Done(seen, self.now))
        outcome = {"close": "false_positive", "correct": "corrected"}.get(action)
        assignee = "Bo" if action == "assign" else seen.assignee
        self.model.seen = Seen(after, outcome, assignee, until if after == "shelved" else None, self.model.count)

    @rule()
    def a_note_changes_nothing(self) -> None:
        self.desk.act(alert_id(1), wish("note"), now=self.now)

    @rule()
    def undo(self) -> None:
        done = self.model.done
        if not done or not done[-1].by_person or self.now - done[-1].at > MINUTE:
            with pytest.raises(AlertError):
                self.desk.act(alert_id(1), wish("undo"), now=self.now)
            return
        self.desk.act(alert_id(1), wish("undo"), now=self.now)
        self.model.seen = done.pop().before
        self._wake()

    @rule(more=st.integers(1, 3))
    def new_matches(self, more: int) -> None:
        self.model.count += more
        self.desk.put_facts(table([fact(1, count=self.model.count)]), now=self.now)
        seen = self.model.seen
        if seen.state == "closed" and not self.model.reopened and self.model.count > seen.closed_count:
            self.model.done.append(Done(seen, self.now, by_person=False))
            self.model.reopened = True
            self.model.seen = Seen("open", None, seen.assignee)

    @rule()
    @precondition(lambda self: self.model.seen.state == "closed")
    def the_same_facts_again(self) -> None:
        self.desk.put_facts(table([fact(1, count=self.model.count)]), now=self.now)

    @invariant()
    def the_desk_agrees(self) -> None:
        if self.desk.last_change() == 0:
            return  # not born yet
        alert = self.desk.alert(alert_id(1), now=self.now).alert
        seen = self.model.seen
        assert (alert["state"], alert["outcome"], alert["assignee"]) == (seen.state, seen.outcome, seen.assignee)
        assert alert["count"] == self.model.count
        assert len(list(self.desk.alerts(Choice(states=[seen.state]), now=self.now))) == 1
        assert self.desk.state_counts(now=self.now)[seen.state] == 1
        assert len(self.desk.outbox()) == 1


TestTriage = Triage.TestCase
TestTriage.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_closed_alert_opens_again_once_with_a_note(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), wish("close"), now=NOW)
    desk.put_facts(table([fact(1, count=3)]), now=NOW + 1)
    assert state(desk) == "open"
    again = desk.history(alert_id(1))[-1]
    assert (again["action"], again["note"]) == ("reopen", "2 new matches since it was closed")
    desk.act(alert_id(1), wish("close"), now=NOW + 2)
    desk.put_facts(table([fact(1, count=4)]), now=NOW + 3)
    assert state(desk) == "closed"


def test_a_change_of_evidence_alone_does_not_open_a_closed_alert(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), wish("close"), now=NOW)
    desk.put_facts(table([fact(1, evidence=[], first_seen=NOW - 1)]), now=NOW)
    assert state(desk) == "closed"


def test_a_shelved_alert_comes_back_open_at_its_time_without_anybody_waking_it(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), wish("shelve"), now=NOW)
    end = NOW + 30 * MINUTE
    assert state(desk, end - 1) == "shelved"
    assert state(desk, end) == "open"
    assert desk.alert(alert_id(1), now=end).alert["updated_at"] == "2026-05-01T12:30:00.000000Z"


def test_coming_back_from_the_shelf_raises_the_alert_again(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), wish("shelve"), now=NOW)
    place = desk.last_change()
    assert desk.raised_since(place) == []
    desk.wake(NOW + 30 * MINUTE)
    assert [listed.alert["id"] for listed in desk.raised_since(place)] == [alert_id(1)]


def test_who_looked_at_an_older_version_is_refused(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    version = desk.alert(alert_id(1)).version
    desk.act(alert_id(1), wish("ack"), expected=version, now=NOW)
    with pytest.raises(AlertError, match="has changed since you looked"):
        desk.act(alert_id(1), wish("close"), expected=version, now=NOW)
    assert state(desk) == "acknowledged"


def test_undo_is_refused_after_a_minute(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    desk.act(alert_id(1), wish("close"), now=NOW)
    with pytest.raises(AlertError, match="more than a minute ago"):
        desk.act(alert_id(1), wish("undo"), now=NOW + MINUTE + 1)
    desk.act(alert_id(1), wish("undo"), now=NOW + MINUTE)
    assert state(desk) == "open"


def test_the_log_keeps_what_was_undone(desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    for step in ("ack", "close", "undo", "undo"):
        desk.act(alert_id(1), wish(step), now=NOW)
    assert [entry["action"] for entry in desk.history(alert_id(1))] == ["ack", "close", "undo", "undo"]
    assert state(desk) == "open"


@pytest.mark.parametrize(
    ("action", "details"),
    [
        ("close", {"outcome": None}),
        ("close", {"outcome": "boring"}),
        ("assign", {"assignee": ""}),
        ("shelve", {"until": NOW}),
        ("note", {"note": ""}),
        ("correct", {"code": None}),
        ("correct", {"code": 40_000}),
    ],
)
def test_a_wish_without_what_it_needs_is_wrong_usage(desk: Desk, action: str, details: dict[str, object]) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    with pytest.raises(UsageError):
        desk.act(alert_id(1), wish(action, **details), now=NOW)
    assert desk.history(alert_id(1)) == []


@pytest.mark.parametrize("length", [1, 2, 7, 63, 64])
def test_an_alert_answers_to_any_unique_beginning_of_its_id(desk: Desk, length: int) -> None:
    desk.put_facts(table([fact(1)]), now=NOW)
    assert desk.act(alert_id(1)[:length].upper(), wish("ack"), now=NOW) == alert_id(1)


def test_a_beginning_of_several_ids_or_of_none_is_an_error(desk: Desk) -> None:
    desk.put_facts(table(fact(name) for name in range(40)), now=NOW)
    with pytest.raises(UnknownAlertError, match="several alerts begin"):
        desk.alert(alert_id(1)[:1])
    with pytest.raises(UnknownAlertError, match="no alert begins"):
        desk.alert("0" * 64)
    with pytest.raises(UnknownAlertError, match="not the beginning"):
        desk.alert("hello")
