"""The rules follow the log: what they have read of it they do not take in again from those who hand it over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from citywatch.engine.embedded.intake import Accepted, Intake, Submission
from citywatch.engine.embedded.stepping import Stepping
from citywatch.engine.embedded.steps import Steps
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

from .city import DEVICES, alerts, engine, event, parsed, rules


@contextmanager
def stepping(data: Path) -> Iterator[tuple[Stepping, Steps]]:
    """The rules over a data directory, with their thread."""
    directory = DataDirectory(data)
    steps = Steps(directory, rules(data / "rules", DEVICES), Settings())
    with Desk(directory.desk) as desk:
        running = Stepping(steps, desk)
        try:
            yield running, steps
            running.drain()
        finally:
            running.stop()
            steps.close()


def accepted(data: Path, *batches: list[str]) -> list[Accepted]:
    """Batches of events after their intake, which no rule has seen."""
    with engine(data):
        pass
    intake = Intake(DataDirectory(data), Settings())
    try:
        made = [intake.commit([Submission(parsed(batch), "camera")])[1] for batch in batches]
        return [one for one in made if one is not None]
    finally:
        intake.close()


def test_a_clock_that_moved_before_does_not_lead_back_to_events_that_were_read_from_the_log(tmp_path: Path) -> None:
    first, second = accepted(tmp_path, [event(1, 0, plate="K")], [event(2, 1, plate="K"), event(3, 900, plate="K")])
    with stepping(tmp_path) as (running, steps):
        running.tick(first.clock, first.last)  # the log is read to its end, and so further than to the first event
        running.drain()
        running.offer(second)
        running.drain()
        assert steps.cursor == second.last
        assert steps.clock == second.clock
    assert [(alert["rule"], alert["count"]) for alert in alerts(tmp_path)] == [("many_reads", 1)]


def test_batches_are_taken_in_where_the_log_was_not_read(tmp_path: Path) -> None:
    first, second = accepted(tmp_path, [event(1, 0, plate="K")], [event(2, 1, plate="K"), event(3, 900, plate="K")])
    with stepping(tmp_path) as (running, steps):
        running.offer(first)
        running.drain()
        running.offer(second)
        running.tick(second.clock + 1, second.last)
        running.drain()
        assert (steps.cursor, steps.clock) == (second.last, second.clock + 1)
    assert [(alert["rule"], alert["count"]) for alert in alerts(tmp_path)] == [("many_reads", 1)]
