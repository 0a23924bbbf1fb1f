"""A bounded run: however many files, one input in one order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from citywatch.engine.embedded.intake import Receipt, Submission
from citywatch.engine.embedded.steps import ORDER
from citywatch.engine.embedded.worker import Worker
from citywatch.errors import TooLargeError
from citywatch.records.chunk import Chunk, Origin, Parsed, rejected_schema
from citywatch.records.piecewise import piecewise
from citywatch.stores.sorter import Sorter

BATCH_BYTES = 24 << 20
"""Of events in a batch. The fewer batches, the less is written and merged; the larger, the more memory is needed."""

SPOOL_BYTES = 96 << 20
"""What of a run's input is in memory before it is put aside in order."""

Parse = Callable[[Chunk], Parsed]


class Readable(Protocol):
    """What a run needs of a source."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def chunks(self) -> Iterator[Chunk]:
        """Raw records in order."""


@dataclass(slots=True)
class Summary:
    """What a run has read and what became of it; `read` = events + duplicates + rejected."""

    read: int = 0
    events: int = 0
    duplicates: int = 0
    rejected: int = 0
    late: int = 0
    alerts: int = 0

    def add(self, receipt: Receipt) -> None:
        """Count a receipt."""
        self.events += receipt.accepted
        self.duplicates += receipt.duplicates
        self.rejected += receipt.rejected
        self.late += receipt.late
        self.read = self.events + self.duplicates + self.rejected

    def include(self, other: Summary) -> None:
        """Count what another run has read."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def as_json(self) -> dict[str, int]:
        """The last line of `citywatch run`."""
        return asdict(self)


def spool(
    sources: Sequence[Readable],
    parsers: Sequence[Parse],
    sorter: Sorter,
    reject: Callable[[Parsed], None],
    room: Callable[[int], None],
) -> None:
    """Parse all sources into the sorter, in their order; what is refused goes to `reject`, which keeps it.

    `room` raises DiskFullError unless so many bytes can be put aside. Raises SourceError.
    """

    def take(parsed: Parsed) -> None:
        if len(parsed.rejected):
            reject(parsed)
        room(parsed.events.nbytes)
        sorter.add(parsed.events)

    keeping = Worker("the sorting of the input", take, room=1)
    try:
        with threads_for(parsers) as threads:
            for _, parsed in in_turn((chunk for source in sources for chunk in source.chunks()), parsers, threads):
                keeping.put(parsed)
        keeping.drain()
    finally:
        keeping.stop()


def in_turn(chunks: Iterable[Chunk], parsers: Sequence[Parse], threads: Executor) -> Iterator[tuple[Chunk, Parsed]]:
    """What chunks become, in their order; as many are worked on at a time as there are parsers.

    Each with its chunk; one that becomes too much at once is there in parts. `threads` are for many calls: memory that
    a thread has had is not all given back when it ends.
    """
    free: SimpleQueue[Parse] = SimpleQueue()
    for parse in parsers:
        free.put(parse)

    def parsed(chunk: Chunk) -> Parsed:
        parse = free.get()
        try:
            return parse(chunk)
        finally:
            free.put(parse)

    def done(chunk: Chunk, future: Future[Parsed]) -> Iterator[tuple[Chunk, Parsed]]:
        try:
            found = future.result()
        except TooLargeError:
            yield from piecewise(parsed, chunk)
        else:
            yield chunk, found

    waiting: deque[tuple[Chunk, Future[Parsed]]] = deque()
    for chunk in chunks:
        waiting.append((chunk, threads.submit(parsed, chunk)))
        if len(waiting) > len(parsers):
            yield from done(*waiting.popleft())
    while waiting:
        yield from done(*waiting.popleft())


def threads_for(parsers: Sequence[Parse]) -> Executor:
    """A thread for each."""
    return ThreadPoolExecutor(len(parsers), "parser")


def in_order(sorter: Sorter) -> Iterator[Submission]:
    """The spooled events as submissions of one source."""
    none = rejected_schema().empty_table()
    for events in sorter.batches(max(1, BATCH_BYTES * sorter.rows // max(sorter.bytes, 1))):
        yield Submission(Parsed(events, none, Origin("bounded run")), "bounded run")


def only_rejected(parsed: Parsed) -> Submission:
    """The refusals of a parsed chunk without its events, which are still to be put in order."""
    return Submission(Parsed(parsed.events.slice(0, 0), parsed.rejected, parsed.origin), "bounded run")


def sorter_in(directory: Path) -> Sorter:
    """A sorter for the order of a bounded run."""
    return Sorter(directory, ORDER, memory=SPOOL_BYTES)
