"""The engine on one machine: one door in, two transactions, one data directory."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.concurrency import ahead
from citywatch.engine.embedded.bounded import Parse, Readable, Summary, in_order, only_rejected, sorter_in, spool
from citywatch.engine.embedded.clock import BEGINNING
from citywatch.engine.embedded.deskside import DeskSide, outage_event, silence_event
from citywatch.engine.embedded.doors import Door
from citywatch.engine.embedded.hearing import BRIEF, LONG, Hearing
from citywatch.engine.embedded.intake import Intake, Receipt, Submission
from citywatch.engine.embedded.keeping import Keeping
from citywatch.engine.embedded.live import Listening, LiveSource, LogFeed, Parsers, RealTime
from citywatch.engine.embedded.stepping import Stepping
from citywatch.engine.embedded.steps import Steps
from citywatch.engine.embedded.upkeep import Upkeep
from citywatch.engine.lagging import Lagging
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, records_schema
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores import durable
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.identity import Identities
from citywatch.stores.log import Counts
from citywatch.stores.sorter import Sorter


class Engine:
    """Takes events in, keeps them, applies the rules. A context manager; one per data directory at a time.

    Parameters
    ----------
    data
        The data directory; made when it is absent. Raises DataDirectoryBusyError, DataVersionError, SettingError.
    ruleset, settings
        What is evaluated, and how.
    threads, memory
        What the step's DuckDB may use.
    now
        Real time in µs UTC.
    told
        Called, in a thread of the engine's, when the desk has new alerts.
    """

    def __init__(
        self,
        data: Path,
        ruleset: Ruleset,
        settings: Settings,
        *,
        threads: int = 2,
        memory: str = "400MB",
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self.data = DataDirectory(data)
        self.settings = settings
        self._ruleset = ruleset
        self._threads, self._memory = threads, memory
        self._now = now
        self._told = told
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._live: dict[str, LiveSource] = {}
        self._attended: dict[str, set[str]] = {}
        self._lagging = Lagging()
        self._real_time: RealTime | None = None
        self._running = Summary()
        self._spooled: Sorter | None = None

    def __enter__(self) -> Self:
        use_one_allocator()
        with ExitStack() as stack:
            stack.enter_context(self.data.locked())
            self.data.prepare(self.settings)
            self._clean()
            self._desk = stack.enter_context(DeskSide(self.data, live=self.settings.live))
            steps = Steps(self.data, self._ruleset, self.settings, threads=self._threads, memory=self._memory)
            stack.callback(steps.close)
            self._intake = Intake(self.data, self.settings, clock=steps.clock)
            stack.callback(self._intake.close)
            if counts := self._desk.counts(self._intake.counts.events):
                self._intake.counts = Counts(**counts)
            relay_desk = stack.enter_context(Desk(self.data.desk, live=self.settings.live))
            self._stepping = Stepping(steps, relay_desk, self._told)
            stack.callback(self._stepping.stop)
            keeping = Keeping(self.data, self.settings, self)
            self._upkeep = Upkeep(self.data, self.identities, self._reached, keeping).start()
            stack.callback(self._upkeep.stop)
            self._stepping.catch_up(self._intake.last)
            self._door = Door(self._commit)
            stack.callback(self._door.close)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def progress(self) -> str:
        """How far a bounded run is, in words."""
        done, spooled = self._running, self._spooled
        if spooled is None or not done.events + done.duplicates:
            return f"{spooled.rows if spooled else 0:,} events read, {done.rejected:,} rejected"
        return f"{done.events + done.duplicates:,} of {spooled.rows:,} events through the rules"

    def submit(self, parsed: Parsed, source: str | None = None) -> Receipt:
        """Take in parsed records; they survive a power cut when this returns. The one door, for any thread.

        Submissions that wait at the same time are committed together. Raises DiskFullError, CapacityError, StoreError;
        then nothing of this submission was accepted.
        """
        return self.submit_later(parsed, source).result()

    def submit_later(self, parsed: Parsed, source: str | None = None) -> Future[Receipt]:
        """As `submit`, without waiting for the answer."""
        name = parsed.origin.name if source is None else source
        if (live := self._live.get(name)) is not None:
            live.hearing.hear(_speakers([parsed]), self._now())
        return self._door.enter([Submission(parsed, name)])[0]

    def submit_parts(self, parts: Sequence[Submission], source: str) -> list[Future[Receipt]]:
        """As `submit_later`, for what the clock knows as several sources: the parts of the log `source`."""
        live = self._live[source]
        live.hearing.hear(_speakers([part.parsed for part in parts]), self._now())
        with self._lock:
            self._attend(live)
        return self._door.enter(parts)

    def run_bounded(self, sources: Sequence[Readable], parsers: Sequence[Parse]) -> Summary:
        """Read sources to their ends as one input in the order of receipt, and wait until all that follows is told.

        Raises SourceError when one cannot be read; then no event was accepted.
        """

        def fill(sorter: Sorter, keep: Callable[[Parsed], None]) -> None:
            spool(sources, parsers, sorter, keep, self.data.require_space)

        return self._bounded(fill, parsers[0])

    def run_parsed(self, parsed: Iterable[Parsed]) -> Summary:
        """As `run_bounded`, with records that are parsed already."""

        def fill(sorter: Sorter, keep: Callable[[Parsed], None]) -> None:
            for part in parsed:
                keep(part)
                sorter.add(part.events)

        return self._bounded(fill)

    def _bounded(self, fill: Callable[[Sorter, Callable[[Parsed], None]], None], parse: Parse | None = None) -> Summary:
        summary = self._running = Summary()
        before = self.born()
        with sorter_in(self.data.tmp) as sorter:
            self._spooled = sorter
            fill(sorter, lambda parsed: self._take(only_rejected(parsed), summary))
            for submission in ahead(in_order(sorter)):
                self._take(submission, summary)
        if parse is not None:
            self.take_inbox(parse)
        self.drain()
        self._desk.report(self.status())
        return replace(summary, alerts=self.born() - before)

    def live(
        self,
        name: str,
        *,
        quiet: float = 0.0,
        trouble: Callable[[], str | None] = lambda: None,
        log: LogFeed | None = None,
    ) -> LiveSource:
        """A live source that the clock waits for from now on; see `LiveSource` and, for `trouble`, `Hearing`."""
        with self._lock:
            self._intake.clock.register(name)
        hearing = Hearing(name, self._now(), min(LONG, max(BRIEF, self.settings.lateness)), trouble)
        source = self._live[name] = LiveSource(self, name, quiet, hearing, log)
        return source

    def resume(self, log: LogFeed, say: Callable[[str], None]) -> None:
        """Let a log go on where this data directory stopped."""
        log.resume(self._desk.name(), self._desk.reached, say)

    def forget(self, name: str) -> None:
        """A live source has ended."""
        self._live.pop(name, None)
        with self._lock:
            for waited_for in self._attended.pop(name, {name}):
                self._intake.clock.remove(waited_for)

    def listen(
        self, sources: Sequence[tuple[Readable, Parsers]], say: Callable[[str], None] = lambda _: None
    ) -> Listening:
        """Read live sources from now on, each with a parser of its own. `say` takes what people should know at once."""
        return Listening(self, sources, say)

    def born(self) -> int:
        """How many alerts there have ever been."""
        return self._desk.born()

    def go_live(self, parse: Parse, *, misses: bool = True) -> None:
        """Follow real time from now on, and note how long this directory has heard nothing.

        `parse` is of use to the engine's own thread only: it reads what people and the engine itself have to say.
        `misses` is false where all that is listened to is kept meanwhile by a log, together with when it came.
        """
        kept, now = self._intake.clock.now, self._now()
        if misses and self._desk.was_live() and BEGINNING < kept < now - RealTime.JUMP_US:
            self._blind(parse, kept, now)
        self._desk.set_live()

        def jumped(since: int, until: int) -> None:
            if misses:
                self._blind(parse, since, until)

        self._real_time = RealTime(self._now, lambda: self.tick(parse), jumped).start()
        self._open.callback(self._real_time.stop)

    def tick(self, parse: Parse) -> None:
        """Let real time reach the clock through the sources that have nothing left to read, and look into the inbox."""
        self.take_inbox(parse)
        now = self._now()
        self._listen_for_silence(parse, now)
        with self._lock:
            if not self._door.waiting:
                for source in list(self._live.values()):
                    self._attend(source)
                    for name in source.idle():
                        self._intake.clock.idle(name, now)
                self._stepping.tick(self._intake.clock.now, self._intake.last)
        logs = ((name, sum(source.waiting().values())) for name, source in list(self._live.items()))
        self._desk.tell(self._lagging.look(logs, self._intake.clock.now, now))
        self._desk.report(self.status())

    def _attend(self, source: LiveSource) -> None:
        """Let the clock wait for the parts that a source has now, and for those that it has no more no longer."""
        before, now = self._attended.get(source.name, {source.name}), set(source.heard_of())
        for name in now - before:
            self._intake.clock.register(name)
        for name in before - now:
            self._intake.clock.remove(name)
        self._attended[source.name] = now

    def _listen_for_silence(self, parse: Parse, now: int) -> None:
        """Note which live sources have fallen silent, or have been heard again."""
        live = list(self._live.values())
        for source in live:
            others = any(now - other.hearing.heard_at <= LONG for other in live if other is not source)
            if (silence := source.hearing.look(now, others=others)) is not None:
                self._stepping.silence(silence)
                self._say(parse, [silence_event(silence)])

    def take_inbox(self, parse: Parse) -> None:
        """Take in the events that people made at the desk."""
        waiting = self._desk.inbox()
        if waiting:
            self._say(parse, [text for _, text in waiting])
            self._desk.clear_inbox(waiting[-1][0])

    def replace_rules(self, ruleset: Ruleset) -> None:
        """Evaluate other rules from the next batch on; those that are new first read history in silence."""
        with self._lock:
            self._stepping.replace_rules(ruleset)

    def drain(self) -> None:
        """Wait until the rules have seen everything that is accepted, and the desk has what they say."""
        self._stepping.catch_up(self._intake.last)
        self._stepping.drain()

    def keep_up(self) -> bool:
        """Do one piece of the housekeeping that is due, now instead of soon; False when nothing is."""
        return self._upkeep.once()

    @property
    def identities(self) -> Identities:
        """The index of all events that are known."""
        return self._intake.identities

    def settle(self) -> int:
        """Write down every identity; gives back the number of the last event that nobody needs in the log."""
        self.drain()
        with self._lock:
            self.identities.flush(self._intake.last)
        return self._reached()

    def at_commit(self, take: Callable[[], None], copy: Callable[[Callable[[Path], None]], None]) -> None:
        """Between two commits: `take` while nothing is accepted, then `copy` while no rule runs."""
        self._stepping.drain()  # first without the lock: what waits may take a while
        with self._lock:
            held = self._stepping.hold(take, copy)
            self._stepping.wait(held.taken)
        self._stepping.wait(held.copied)

    def check(self) -> None:
        """Raise what has gone wrong in any of the engine's threads."""
        self._stepping.check()
        self._upkeep.check()
        if self._real_time:
            self._real_time.check()

    def status(self) -> dict[str, Any]:
        """How the engine stands, for `doctor` and the console; see `docs/reference`."""
        return {
            "pid": os.getpid(),
            "clock": self._intake.clock.now,
            "events": self._intake.last,
            "evaluated": self._stepping.cursor,
            "waiting": self._door.waiting,
            "sources": sorted(self._live),
            "lag": {name: lag for name, live in sorted(self._live.items()) if (lag := live.waiting())},
            "silent": {name: why for name, live in sorted(self._live.items()) if (why := live.silent)},
            "counts": asdict(self._intake.counts),
            "errors": self._stepping.errors,
        }

    def _take(self, submission: Submission, summary: Summary) -> None:
        self.check()
        for receipt in self._commit([submission], wait=True):
            summary.add(receipt)

    def _commit(self, submissions: Sequence[Submission], *, wait: bool = False) -> list[Receipt]:
        with self._lock:
            receipts, accepted = self._intake.commit(submissions)
            if accepted is not None:
                (self._stepping.take if wait else self._stepping.offer)(accepted)
        return receipts

    def _say(self, parse: Parse, texts: Sequence[str]) -> None:
        """Take in CloudEvents that come from no source: the clock does not move.

        Those that say when they were received are records that are tried again, and believed.
        """
        for replayed in (True, False):
            raw = [text.encode() for text in texts if ('"receivedat"' in text) is replayed]
            records = pa.table([range(1, len(raw) + 1), raw], schema=records_schema())
            parsed = parse(Chunk(Origin("citywatch", replay=replayed), Format.JSON, records))
            self._commit([Submission(parsed, "")], wait=True)

    def _blind(self, parse: Parse, since: int, until: int) -> None:
        """Nothing was heard in between: that is an event, and what waits for silence must know it."""
        self._stepping.outage(since, until)
        self._say(parse, [outage_event(since, until)])

    def _reached(self) -> int:
        return min(self._stepping.cursor, self._intake.identities.cursor)

    def _clean(self) -> None:
        for directory in (self.data.path, self.data.log, self.data.history):
            durable.remove_torn(directory)
        for left in self.data.tmp.glob("sort-*.arrow"):
            left.unlink()
        shutil.rmtree(self.data.tmp / "duckdb", ignore_errors=True)


def _speakers(parsed: Sequence[Parsed]) -> Iterator[str]:
    """Sources of the events, each once a part."""
    for part in parsed:
        yield from map(str, pc.unique(part.events.column("source")).to_pylist())


def use_one_allocator() -> None:
    """Let Arrow use jemalloc: it gives the same pages out again, where others fault new ones in (measured: half)."""
    try:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    except NotImplementedError:
        return  # not built in on this platform; the default works as well, only slower
