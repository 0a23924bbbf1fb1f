"""Live sources: who is being listened to, who has nothing left to read, and how real time reaches the clock."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from citywatch.background import Background
from citywatch.engine.embedded.bounded import Parse, Readable, Summary, in_turn, threads_for
from citywatch.engine.embedded.gathering import BRIEF_REST_S, SOME
from citywatch.engine.embedded.hearing import Hearing
from citywatch.engine.embedded.intake import Receipt, Submission
from citywatch.engine.embedded.joining import joined, shares
from citywatch.engine.embedded.parts import in_parts
from citywatch.errors import CapacityError, DiskFullError
from citywatch.records.piecewise import piecewise

if TYPE_CHECKING:
    from citywatch.engine.embedded.engine import Engine
    from citywatch.records.chunk import Chunk, Parsed, Part, Placing

_PATIENCE_S = 0.05
_TRICKLE = 200
"""Fewer records a second than these are a trickle, of which more are gathered before they are parsed."""
_REST_S = 0.4
_LOOK_S = 0.2
_LEAVE_S = 0.5
"""A reader that does not block ends within this, as a rule; one that does is left where it is."""
_ROOM = 256
"""So many chunks of a source wait to be parsed; then it is not read any further."""
_GATHER_ROWS = 20_000
"""At most about so many records are parsed and written together: the next ones are parsed meanwhile."""
_HANDED_BYTES = 128 << 20
"""More events than that are handed in before the next are made."""

_FULL_S = 2.0
"""A full disk is tried again after so long."""

_QUIET_S = 2.0
"""A source that is read has nothing left when nothing came for so long: the pause of a pipe is not its end."""


Parsers = Parse | Sequence[Parse]
"""One for all that comes, or several that work side by side when much has come."""


@runtime_checkable
class Feed(Readable, Protocol):
    """What the engine needs of a source whose sender waits to hear that its records are safe."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be heard at present; None = it can."""

    def committed(self, chunks: int) -> None:
        """So many more of the chunks, the oldest first, survive a power cut now."""

    def close(self) -> None:
        """Leave; `chunks` ends."""


@runtime_checkable
class LogFeed(Feed, Protocol):
    """What the engine needs of a log: it has parts, and can be read again from any place of each of them."""

    def resume(
        self, reader: str, reached: Callable[[Sequence[str]], Mapping[str, int]], say: Callable[[str], None]
    ) -> None:
        """Before it is read: `reader` names this data directory, `reached` looks up how far it has read each part.

        `say` takes what people should know at once.
        """

    def parts(self) -> Mapping[str, Part] | None:
        """The parts that are read at present; None as long as that is not known."""


class LiveSource:
    """A source that has no end, as the clock knows it. Made by `Engine.live`; of use to any number of threads.

    Parameters
    ----------
    quiet
        Seconds without an event after which the source counts as having nothing left to read. 0 where it stamps
        `received_at` itself; a replay through a pipe may pause without being at its end.
    hearing
        Whether it is silent.
    log
        The log that it is, if it is one: each of its parts is a source of the clock.
    """

    def __init__(self, engine: Engine, name: str, quiet: float, hearing: Hearing, log: LogFeed | None = None) -> None:
        self.name = name
        self.log = log
        self.hearing = hearing
        self._engine = engine
        self._quiet = quiet
        self._busy = 0
        self._lock = threading.Lock()
        self._heard = time.monotonic()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Something is being read: real time does not overtake what was received and is not yet submitted."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """As `busy`, for what ends in another thread."""
        with self._lock:
            self._busy += 1

    def end(self, times: int = 1) -> None:
        """What was begun so many times has been submitted."""
        with self._lock:
            self._busy -= times
            self._heard = time.monotonic()

    def submit(self, parsed: Parsed, placing: Placing | None = None) -> list[Receipt]:
        """`Engine.submit` under the name of this source; of a log, each part under its own."""
        return [receipt.result() for receipt in self.submit_all([(parsed, placing)])]

    def submit_all(self, parsed: Sequence[tuple[Parsed, Placing | None]]) -> list[Future[Receipt]]:
        """As `submit`, without waiting for the answers; all of it in one commit."""
        parts: list[Submission] = []
        for each, placing in parsed:
            parts += [Submission(each, self.name)] if placing is None else in_parts(each, placing, self.name)
        return self._engine.submit_parts(parts, self.name)

    def submit_later(self, parsed: Parsed) -> Future[Receipt]:
        """`Engine.submit_later` under the name of this source."""
        return self._engine.submit_later(parsed, self.name)

    def idle(self) -> list[str]:
        """What of it the clock knows that has nothing left to read."""
        if self.log is not None:
            parts = self.log.parts()
            return [] if parts is None else [self.name, *(self.part(name) for name, at in parts.items() if at.ended)]
        with self._lock:
            return [] if self._busy or time.monotonic() - self._heard < self._quiet else [self.name]

    def part(self, name: str) -> str:
        """What the clock calls a part of it."""
        return f"{self.name} {name}"

    def heard_of(self) -> list[str]:
        """All that the clock has to wait for."""
        parts = self.log.parts() if self.log is not None else None
        return [self.name, *map(self.part, parts or ())]

    @property
    def silent(self) -> str | None:
        """Why it is not heard, in words; None = it is."""
        return (self.log.trouble if self.log is not None else None) or self.hearing.silent

    def waiting(self) -> dict[str, int]:
        """Records of each part of a log that are not committed yet."""
        parts = self.log.parts() if self.log is not None else None
        return {name: part.waiting for name, part in (parts or {}).items()}


class Listening:
    """Reads live sources, each in threads of its own, as they come. Made by `Engine.listen`."""

    def __init__(
        self, engine: Engine, sources: Sequence[tuple[Readable, Parsers]], say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._engine = engine
        self._say = say
        self._born = engine.born()
        for source, _ in sources:
            if isinstance(source, LogFeed):
                engine.resume(source, say)
        # Registered before the first is read: the clock waits for all of them.
        listened = [(source, _registered(engine, source), parse) for source, parse in sources]
        self._feeds = [source for source, _ in sources if isinstance(source, Feed)]
        self._said = [feed.trouble for feed in self._feeds]
        self._listeners = [Listener(engine, *each) for each in listened]
        self._full: set[str] = set()

    def wait(self) -> None:
        """Wait until all sources have ended. Raises what went wrong in one, or in the engine."""
        while any(listener.alive() for listener in self._listeners):
            self._engine.check()
            time.sleep(_LOOK_S)
            self.check()
        self.check()

    def check(self) -> None:
        """Raise what went wrong in one of the sources; say which cannot be reached or find no room, and can again."""
        for listener in self._listeners:
            listener.check()
            if bool(full := listener.full) != (listener.name in self._full):
                self._full ^= {listener.name}
                self._say(f"{listener.name}: {f'waits, for {full}' if full else 'goes on'}")
        for number, feed in enumerate(self._feeds):
            if (trouble := feed.trouble) != self._said[number]:
                self._said[number] = trouble
                self._say(f"{feed.name}: {trouble or 'connected'}")

    def stop(self) -> None:
        """Take nothing more; a source that blocks is left where it is."""
        for listener in self._listeners:
            listener.stop()

    def summary(self, read: Summary) -> Summary:
        """What was read in all, `read` before included."""
        total = replace(read, alerts=self._engine.born() - self._born + read.alerts)
        for listener in self._listeners:
            total.include(listener.summary)
        return total


@dataclass(frozen=True, slots=True)
class _Handed:
    """What is being written, and the last of how many chunks it is."""

    parsed: Sequence[tuple[Parsed, Placing | None]] = ()
    chunks: int = 0
    receipts: Sequence[Future[Receipt]] = ()


class Listener:
    """One live source: a thread that reads, and one that parses all that has come meanwhile at once.

    The parser's cost is that of its statements as long as there are few records: what waits is parsed together, and
    after few records it rests a while for more to come, so that a trickle leaves the machine to others. While the disk
    is full it waits, and so does who sends: nothing is lost, and nothing has to be started again.
    """

    def __init__(self, engine: Engine, source: Readable, live: LiveSource, parsers: Parsers) -> None:
        self.summary = Summary()
        self._engine, self._source, self._live = engine, source, live
        self._parsers = [parsers] if callable(parsers) else parsers
        self._pool = threads_for(self._parsers)
        self._waiting: queue.Queue[Chunk | None] = queue.Queue(_ROOM)
        self._handed = _Handed()
        self.name = source.name
        self.full: str | None = None
        """Why there is no room for what has come; None = there is."""
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=target, name=f"{what} {source.name}", daemon=True)
            for what, target in (("reader of", self._read), ("parser of", self._take))
        ]
        for thread in self._threads:
            thread.start()

    def alive(self) -> bool:
        """Whether it is still being read."""
        return self._threads[1].is_alive()

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Take nothing more."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._threads[1].join(_PATIENCE_S * 100)
        if isinstance(self._source, Feed):
            self._source.close()
        # A thread that is cut off within a library when the process ends can bring the process down with it.
        self._threads[0].join(_LEAVE_S)

    def _read(self) -> None:
        try:
            for chunk in self._source.chunks():
                self._live.begin()
                self._waiting.put(chunk)
                if self._stop.is_set():
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._waiting.put(None)

    def _take(self) -> None:
        try:
            ended = time.monotonic()
            for chunks in self._gathered():
                began, before = time.monotonic(), ended
                if not self._hand_in(chunks):
                    break
                rows = sum(len(chunk.records) for chunk in chunks)
                if (rows < SOME or self._waiting.empty()) and not self._settle():
                    break
                ended = time.monotonic()
                if rows < _TRICKLE * (ended - before):
                    self._stop.wait(min(4 * (ended - began), _REST_S))
                elif rows < SOME:
                    self._stop.wait(min(ended - began, BRIEF_REST_S))
            self._settle()
        except BaseException as error:
            self._error = error
        finally:
            self._pool.shutdown()
            self._engine.forget(self._live.name)

    def _hand_in(self, chunks: Sequence[Chunk]) -> bool:
        """Parse, while what came before is written, and hand in; False when told to stop while there is no room."""
        while True:
            try:
                return self._parse_and_submit(chunks)
            except DiskFullError as error:  # images are kept while they are parsed
                if self._is_over(error):
                    return False

    def _parse_and_submit(self, chunks: Sequence[Chunk]) -> bool:
        pieces = [piece for part in shares(chunks, len(self._parsers)) for piece in joined(part)]
        parsed: list[tuple[Parsed, Placing | None]] = []
        size = 0
        for piece, each in self._parsed(pieces):
            if size > _HANDED_BYTES:
                if not self._submit(parsed, 0):
                    return False
                parsed, size = [], 0
            if each.read:
                parsed.append((each, piece.placing))
                size += each.events.nbytes
        return self._submit(parsed, len(chunks))

    def _submit(self, parsed: Sequence[tuple[Parsed, Placing | None]], chunks: int) -> bool:
        """Hand in, and with it the last of so many chunks; False when told to stop while there is no room."""
        # Nothing may be safe before what came before it: a log is read again from behind what is.
        if not self._settle():
            return False
        self._handed = _Handed(parsed, chunks)
        return self._enter()

    def _enter(self) -> bool:
        """Hand in; False when told to stop while there is no room."""
        while self._handed.parsed:
            try:
                self._handed = replace(self._handed, receipts=self._live.submit_all(self._handed.parsed))
            except CapacityError:
                if self._stop.wait(_PATIENCE_S):
                    return False
            else:
                return True
        return True

    def _settle(self) -> bool:
        """Wait until what was handed in is safe, and tell so who sent it; False when told to stop before it is."""
        while True:
            try:
                receipts = [receipt.result() for receipt in self._handed.receipts]
                break
            except DiskFullError as error:
                if self._is_over(error) or not self._enter():
                    return False
        self.full = None if receipts else self.full
        chunks, self._handed = self._handed.chunks, _Handed()
        for receipt in receipts:
            self.summary.add(receipt)
        if chunks:
            self._live.end(chunks)
            if isinstance(self._source, Feed):
                self._source.committed(chunks)
        return True

    def _is_over(self, full: DiskFullError) -> bool:
        """Wait for room; whether it was told to stop meanwhile."""
        self.full = str(full)
        return self._stop.wait(_FULL_S)

    def _parsed(self, pieces: Sequence[Chunk]) -> Iterator[tuple[Chunk, Parsed]]:
        if min(len(pieces), len(self._parsers)) == 1:
            return (part for piece in pieces for part in piecewise(self._parsers[0], piece))
        return in_turn(pieces, self._parsers, self._pool)

    def _gathered(self) -> Iterator[list[Chunk]]:
        """All that waits, again and again, until the source has ended or is to be left."""
        while True:
            chunks = [_next(self._waiting, self._stop)]
            rows = 0
            while chunks[-1] is not None and rows < _GATHER_ROWS and not self._waiting.empty():
                rows += len(chunks[-1].records)
                chunks.append(self._waiting.get())
            found = [chunk for chunk in chunks if chunk is not None]
            if found:
                yield found
            if chunks[-1] is None:
                return


def _registered(engine: Engine, source: Readable) -> LiveSource:
    """The source as the clock knows it. What comes from a feed is stamped when it comes: it may be idle at once."""
    if isinstance(source, LogFeed):
        # While it is out of reach nothing is missed: the clock waits, and what comes meanwhile is read later.
        return engine.live(source.name, log=source)
    if isinstance(source, Feed):
        feed: Feed = source
        return engine.live(source.name, trouble=lambda: feed.trouble)
    return engine.live(source.name, quiet=_QUIET_S)


def _next(waiting: queue.Queue[Chunk | None], stop: threading.Event) -> Chunk | None:
    while not stop.is_set():
        try:
            return waiting.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
    return None


class RealTime(Background):
    """Calls `tick` twice a second, and tells when the machine's clock or the machine itself has jumped."""

    EVERY_S = 0.5
    JUMP_US = 10_000_000

    def __init__(self, now: Callable[[], int], tick: Callable[[], None], jumped: Callable[[int, int], None]) -> None:
        super().__init__("real time")
        self._now, self._tick, self._jumped = now, tick, jumped

    def work(self) -> None:
        """Tick until the end."""
        last = self._now()
        while not self.stopping.wait(self.EVERY_S):
            now = self._now()
            if now - last > self.JUMP_US:
                self._jumped(last, now)
            last = now
            self._tick()
