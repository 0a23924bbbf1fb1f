"""What a source is: something that yields chunks of raw records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from citywatch.records.chunk import Chunk


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
