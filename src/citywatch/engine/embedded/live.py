"""Live sources: who is being listened to, who has nothing left to read, and how real time reaches the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from citywatch.engine.embedded.bounded import Parse, Readable, Summary
from citywatch.engine.embedded.intake import Receipt
from citywatch.errors import CapacityError

if TYPE_CHECKING:
    from citywatch.engine.embedded.engine import Engine
    from citywatch.records.chunk import Parsed

_PATIENCE_S = 0.05
_LOOK_S = 0.2
_QUIET_S = 2.0
"""A source that is read has nothing left when nothing came for so long: the pause of a pipe is not its end."""


class LiveSource:
    """A source that has no end, as the clock knows it. Made by `Engine.live`; of use to any number of threads.

    Parameters
    ----------
    quiet
        Seconds without an event after which the source counts as having nothing left to read. 0 where it stamps
        `received_at` itself; a replay through a pipe may pause without being at its end.
    """

    def __init__(self, engine: Engine, name: str, quiet: float) -> None:
        self.name = name
        self._engine = engine
        self._quiet = quiet
        self._busy = 0
        self._lock = threading.Lock()
        self._heard = time.monotonic()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Something is being read: real time does not overtake what was received and is not yet submitted."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                self._heard = time.monotonic()

    def submit(self, parsed: Parsed) -> Receipt:
        """`Engine.submit` under the name of this source."""
        return self._engine.submit(parsed, self.name)

    def submit_later(self, parsed: Parsed) -> Future[Receipt]:
        """`Engine.submit_later` under the name of this source."""
        return self._engine.submit_later(parsed, self.name)

    def idle(self) -> bool:
        """Whether it has nothing left to read."""
        with self._lock:
            return not self._busy and time.monotonic() - self._heard >= self._quiet


class Listening:
    """Reads live sources, each in a thread of its own, as they come. Made by `Engine.listen`."""

    def __init__(self, engine: Engine, sources: Sequence[tuple[Readable, Parse]]) -> None:
        self._engine = engine
        self._summary = Summary()
        self._born = engine.born()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        # Registered before the first is read: the clock waits for all of them.
        listened = [(source, engine.live(source.name, quiet=_QUIET_S), parse) for source, parse in sources]
        self._threads = [
            threading.Thread(target=self._run, args=each, name=f"listener {each[0].name}", daemon=True)
            for each in listened
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until all sources have ended. Raises what went wrong in one, or in the engine."""
        while any(thread.is_alive() for thread in self._threads):
            self._engine.check()
            self._stop.wait(_LOOK_S)
            self.check()
        self.check()

    def stop(self) -> None:
        """Take nothing more; a source that blocks is left where it is."""
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)

    def summary(self, read: Summary) -> Summary:
        """What was read in all, `read` before included."""
        with self._lock:
            total = replace(self._summary, alerts=self._engine.born() - self._born + read.alerts)
        for name in ("read", "events", "duplicates", "rejected", "late"):
            setattr(total, name, getattr(total, name) + getattr(read, name))
        return total

    def check(self) -> None:
        """Raise what went wrong in one of the sources."""
        if self._error is not None:
            raise self._error

    def _run(self, source: Readable, live: LiveSource, parse: Parse) -> None:
        try:
            for chunk in source.chunks():
                with live.busy():
                    self._take(live, parse(chunk))
                if self._stop.is_set():
                    return
        except BaseException as error:
            self._error = error
        finally:
            self._engine.forget(live.name)

    def _take(self, live: LiveSource, parsed: Parsed) -> None:
        while parsed.read:
            try:
                receipt = live.submit(parsed)
            except CapacityError:
                if self._stop.wait(_PATIENCE_S):
                    return
            else:
                with self._lock:
                    self._summary.add(receipt)
                return


class RealTime:
    """Calls `tick` a few times a second, and tells when the machine's clock or the machine itself has jumped."""

    EVERY_S = 0.2
    JUMP_US = 10_000_000

    def __init__(self, now: Callable[[], int], tick: Callable[[], None], jumped: Callable[[int, int], None]) -> None:
        self._now, self._tick, self._jumped = now, tick, jumped
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="real time", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the thread."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        last = self._now()
        try:
            while not self._stop.wait(self.EVERY_S):
                now = self._now()
                if now - last > self.JUMP_US:
                    self._jumped(last, now)
                last = now
                self._tick()
        except BaseException as error:
            self._error = error
