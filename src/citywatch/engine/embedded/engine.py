"""The engine on one machine: one door in, two transactions, one data directory."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from citywatch.engine.embedded.bounded import Parse, Readable, Summary, in_order, only_rejected, sorter_in, spool
from citywatch.engine.embedded.doors import Door
from citywatch.engine.embedded.intake import Intake, Receipt, Submission
from citywatch.engine.embedded.stepping import Stepping
from citywatch.engine.embedded.steps import Steps
from citywatch.engine.embedded.upkeep import Upkeep
from citywatch.records.chunk import Parsed
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores import durable
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory


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
    ) -> None:
        self.data = DataDirectory(data)
        self.settings = settings
        self._ruleset = ruleset
        self._threads, self._memory = threads, memory
        self._now = now
        self._open = ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        use_one_allocator()
        with ExitStack() as stack:
            stack.enter_context(self.data.locked())
            self.data.prepare(self.settings)
            self._clean()
            self._desk = stack.enter_context(Desk(self.data.desk, live=self.settings.live))
            steps = Steps(self.data, self._ruleset, self.settings, threads=self._threads, memory=self._memory)
            stack.callback(steps.close)
            self._intake = Intake(self.data, self.settings, clock=steps.clock)
            stack.callback(self._intake.close)
            relay_desk = stack.enter_context(Desk(self.data.desk, live=self.settings.live))
            self._stepping = Stepping(steps, relay_desk)
            stack.callback(self._stepping.stop)
            self._upkeep = Upkeep(self.data, self._intake.identities, self._reached)
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

    def submit(self, parsed: Parsed, source: str | None = None) -> Receipt:
        """Take in parsed records; they survive a power cut when this returns. The one door, for any thread.

        Submissions that wait at the same time are committed together. Raises DiskFullError, CapacityError, StoreError;
        then nothing of this submission was accepted.
        """
        return self.submit_later(parsed, source).result()

    def submit_later(self, parsed: Parsed, source: str | None = None) -> Future[Receipt]:
        """As `submit`, without waiting for the answer."""
        return self._door.enter(Submission(parsed, source or parsed.origin.name))

    def run_bounded(self, sources: Sequence[Readable], parse: Parse) -> Summary:
        """Read sources to their ends as one input in the order of receipt, and wait until all that follows is told.

        Raises SourceError when one cannot be read; then no event was accepted.
        """
        summary = Summary()
        before = self._born()
        with sorter_in(self.data.tmp) as sorter:
            spool(sources, parse, sorter, lambda parsed: self._reject(parsed, summary))
            for submission in in_order(sorter):
                self._upkeep.check()
                for receipt in self._commit([submission], wait=True):
                    summary.add(receipt)
        self.drain()
        return replace(summary, alerts=self._born() - before)

    def drain(self) -> None:
        """Wait until the rules have seen everything that is accepted, and the desk has what they say."""
        self._stepping.catch_up(self._intake.last)
        self._stepping.drain()

    def _reject(self, parsed: Parsed, summary: Summary) -> None:
        for receipt in self._commit([only_rejected(parsed)], wait=True):
            summary.add(receipt)

    def _commit(self, submissions: Sequence[Submission], *, wait: bool = False) -> list[Receipt]:
        with self._lock:
            receipts, accepted = self._intake.commit(submissions)
            if accepted is not None:
                (self._stepping.take if wait else self._stepping.offer)(accepted)
        return receipts

    def _born(self) -> int:
        """How many alerts there have ever been."""
        return sum(row[-1] for row in self._desk.tallies())

    def _reached(self) -> int:
        return min(self._stepping.cursor, self._intake.identities.cursor)

    def _clean(self) -> None:
        for directory in (self.data.path, self.data.log, self.data.history):
            durable.remove_torn(directory)
        for left in self.data.tmp.glob("sort-*.arrow"):
            left.unlink()
        shutil.rmtree(self.data.tmp / "duckdb", ignore_errors=True)


def use_one_allocator() -> None:
    """Let Arrow use jemalloc: it gives the same pages out again, where others fault new ones in (measured: half)."""
    try:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    except NotImplementedError:
        return  # not built in on this platform; the default works as well, only slower
