"""What a source is: something that yields chunks of raw records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol, runtime_checkable

from citywatch.records.chunk import Chunk, Origin


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may say about sources on the command line.

    Attributes
    ----------
    date
        `--date`: day of the records whose time has no date.
    arrived
        µs UTC that stand for the receipt of records that name none, instead of the modification time of a file.
    """

    date: date | None = None
    arrived: int | None = None

    def origin(self, name: str, arrived: int | None) -> Origin:
        """Where the records of a source are from that came at `arrived` (µs UTC), if nobody says anything else."""
        return Origin(name, arrived if self.arrived is None else self.arrived, date=self.date)


class Source(Protocol):
    """A source; opened by `citywatch.sources.open_source`."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def bounded(self) -> bool:
        """True when it ends: a file. False when it goes on for as long as one listens."""

    def chunks(self) -> Iterator[Chunk]:
        """Raw records in order. Raises SourceError when it cannot be read at all."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """What sources that end have in common."""

    origin: Origin

    @property
    def name(self) -> str:
        """What a person calls it: a path, or an address without options."""
        return self.origin.name

    @property
    def bounded(self) -> bool:
        """It ends."""
        return True


@runtime_checkable
class Feed(Source, Protocol):
    """A live source whose sender keeps each record until it is told that it is safe, and otherwise sends it again.

    Identical records are one. They are of the moment at which they come (`Origin.replay` is false), unless they are
    kept in a log that knows when they came.
    """

    @property
    def mappings(self) -> tuple[str, ...]:
        """Names of the mappings that its records are taken for; others are recognised by their fields."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be heard at present, in words; None = it can. It comes back by itself."""

    def committed(self, chunks: int) -> None:
        """So many more of the chunks, the oldest first, survive a power cut now. Called from any thread."""

    def close(self) -> None:
        """Leave; `chunks` ends. What is not committed is sent again to whoever comes next."""
