"""The thread that follows the log: it takes batches as they are accepted, or reads those that it has missed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from citywatch.engine.embedded.backlog import Backlog
from citywatch.engine.embedded.hearing import Silence
from citywatch.engine.embedded.intake import Accepted
from citywatch.engine.embedded.steps import Steps, Told
from citywatch.engine.embedded.worker import Worker
from citywatch.event import batch_schema

if TYPE_CHECKING:
    from citywatch.rules.model import Ruleset
    from citywatch.stores.desk import Desk

_ROOM = 3
_LOOK_S = 0.2

_BUSY, _BULK = 4_000, 8_192
"""When so many events come in a second, but fewer than so many at once, the statements are what costs."""
_REST_S = 0.06


class Held:
    """The rules at rest: `take` is done at once, `copy` behind it, each in the thread of the step."""

    def __init__(self, take: Callable[[], None], copy: Callable[[Callable[[Path], None]], None]) -> None:
        self._take, self._copy = take, copy
        self.taken: Future[None] = Future()
        self.copied: Future[None] = Future()

    def run(self, settled: Callable[[], None], copy_engine: Callable[[Path], None]) -> None:
        """What goes wrong is for whoever waits, and does not stop the rules."""
        try:
            settled()
            self._take()
            self.taken.set_result(None)
            self._copy(copy_engine)
            self.copied.set_result(None)
        except Exception as error:  # raised where `taken` or `copied` is waited for
            for waiting in (self.taken, self.copied):
                if not waiting.done():
                    waiting.set_exception(error)


class Stepping:
    """Runs `Steps` and the relay to the desk, each in its thread.

    Parameters
    ----------
    desk
        Of use to the relay's thread only.
    told
        Called in the relay's thread when the desk has something new.
    """

    def __init__(self, steps: Steps, desk: Desk, told: Callable[[], None] = lambda: None) -> None:
        self._steps = steps
        self._desk = desk
        self._told = told
        self._relay = Worker("the relay to the desk", self._tell, room=8)
        # What was committed and perhaps not told before the last stop is told again, first of all.
        self._untold = deque(steps.untold())
        self._backlog = Backlog()
        self._began = 0.0
        self._worker: Worker[Callable[[], None]] = Worker("the engine step", lambda do: do(), room=_ROOM)

    @property
    def cursor(self) -> int:
        """Number of the last event that the rules have seen."""
        return self._steps.cursor

    @property
    def errors(self) -> dict[str, int]:
        """Rows on which a predicate failed, by predicate."""
        return self._steps.errors

    def catch_up(self, last: int) -> None:
        """Let the step read the log up to number `last`, if it has not."""
        self._worker.put(lambda: self._take(Accepted(batch_schema().empty_table(), self._steps.clock, last)))

    def take(self, accepted: Accepted) -> None:
        """Hand a batch over and wait for room: the reader of a bounded run must not run ahead of the rules."""
        self._worker.put(lambda: self._take(accepted))

    def offer(self, accepted: Accepted) -> None:
        """Hand a batch over, or let the step read it from the log: who sends events does not wait for rules."""
        self._backlog.leave(accepted)
        self._worker.offer(self._work_off)

    def tick(self, clock: int, last: int) -> None:
        """Move the clock, after all events up to number `last`."""
        self.offer(Accepted(batch_schema().empty_table(), clock, last))

    def replace_rules(self, ruleset: Ruleset) -> None:
        """Evaluate other rules from the next batch on."""
        self._in_between(lambda: self._steps.replace_rules(ruleset))

    def outage(self, since: int, until: int) -> None:
        """Remember a span of time in which nothing was heard."""
        self._in_between(lambda: self._steps.outage(since, until))

    def silence(self, silence: Silence) -> None:
        """Remember that one live source is silent, or was."""
        self._in_between(lambda: self._steps.silence(silence))

    def drain(self) -> None:
        """Wait until all that was handed over is evaluated and told."""
        self._worker.drain()
        self._relay.drain()

    def hold(self, take: Callable[[], None], copy: Callable[[Callable[[Path], None]], None]) -> Held:
        """Stop behind what was handed over, the desk having been told of it; see `Held`."""
        self.drain()
        held = Held(take, copy)
        self._worker.put(lambda: held.run(self._relay.drain, self._steps.copy))
        return held

    def wait(self, done: Future[None]) -> None:
        """Wait for a part of `Held`; raises what went wrong, also when the rules have stopped before it."""
        while not wait([done], timeout=_LOOK_S).done:
            self.check()
        done.result()

    def check(self) -> None:
        """Raise what went wrong in a thread."""
        self._worker.check()
        self._relay.check()

    def stop(self) -> None:
        """Finish what was handed over and end both threads."""
        self._worker.stop()
        self._relay.stop()

    def _in_between(self, do: Callable[[], None]) -> None:
        """Do something after all that was handed over before, and before all that comes."""

        def then() -> None:
            while (accepted := self._backlog.next()) is not None:
                self._take(accepted)
            do()
            self._backlog.lift()
            self._worker.offer(self._work_off)

        self._backlog.bar()
        self._worker.put(then)

    def _work_off(self) -> None:
        """One batch of what waits; what does not wait any more was worked off with another."""
        if (accepted := self._backlog.next()) is not None:
            self._worker.offer(self._work_off)
            before, self._began = self._began, time.monotonic()
            self._take(accepted)
            if _BUSY * (self._began - before) < len(accepted.events) < _BULK:
                time.sleep(_REST_S)  # so that more come together

    def _take(self, accepted: Accepted) -> None:
        steps = self._steps
        while self._untold:
            self._pass_on(self._untold.popleft())
        self._pass_on(steps.begin())
        first = accepted.last - len(accepted.events) + 1
        for missed in steps.behind(first - 1):
            self._pass_on(steps.advance(missed))
        # What was read from the log may reach beyond: then it had a later clock, too.
        if steps.cursor < first:
            self._pass_on(steps.advance(accepted))

    def _pass_on(self, told: Told | None) -> None:
        if told is not None:
            self._relay.put(told)

    def _tell(self, told: Told) -> None:
        if len(told.facts):
            self._desk.put_facts(told.facts, cursor=told.n)
        if len(told.corrections):
            self._desk.put_corrections(told.corrections)
        self._steps.relayed(told.n)
        self._told()
