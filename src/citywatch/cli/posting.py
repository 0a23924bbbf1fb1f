"""Lines to a citywatch over HTTP as they are made: each batch until it is acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import click

from citywatch import __version__
from citywatch.errors import CitywatchError, UsageError
from citywatch.sender.door import Answer, Door, NotOursError, TooLargeError, UnreachableError
from citywatch.sender.problems import SendError

LINES = 500
BYTES = 1 << 20
_LONGEST_PAUSE = 30.0
_NONSENSE = 3
"""So many answers that are not those of a citywatch are believed."""


@dataclass(slots=True)
class Posted:
    """What became of the lines."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    def add(self, answer: Answer) -> None:
        """Count an acknowledgement."""
        self.accepted += answer.accepted
        self.duplicates += answer.duplicates
        self.rejected += len(answer.rejected)

    def __str__(self) -> str:
        known = f"{self.duplicates:,} known already, {self.rejected:,} rejected"
        return f"{self.accepted:,} events accepted, {known}"


class Posting:
    """The way to one citywatch.

    Parameters
    ----------
    to
        Its address. Raises UsageError.
    mapping
        What the lines are; empty for CloudEvents.
    header
        The line that stands above them, where they are rows of CSV that have one.
    """

    def __init__(
        self,
        to: str,
        mapping: str,
        key: str,
        sleep: Callable[[float], None] = time.sleep,
        *,
        header: str | None = None,
    ) -> None:
        try:
            self._door = Door(to, key, version=__version__)
        except SendError as error:
            raise UsageError(str(error)) from error
        self._path = f"/api/v1/ingest/{mapping}" if mapping else "/api/v1/events"
        self._above = "" if header is None else f"{header}\n"
        self._sleep = sleep
        self.posted = Posted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def post(self, lines: Iterable[str]) -> None:
        """Send lines, in batches; waits for as long as nobody answers. Raises CitywatchError."""
        batch: list[str] = []
        size = 0
        for line in lines:
            if batch and (len(batch) == LINES or size + len(line) > BYTES):
                self._deliver(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
        if batch:
            self._deliver(batch)

    def _deliver(self, batch: Sequence[str]) -> None:
        body = (self._above + "".join(f"{line}\n" for line in batch)).encode()
        pause, nonsense = 0.5, 0
        while True:
            try:
                self.posted.add(self._door.post(self._path, body, {"Content-Type": self._media(batch)}, len(batch)))
            except UnreachableError as trouble:
                nonsense += isinstance(trouble, NotOursError)
                if nonsense == _NONSENSE:
                    raise CitywatchError(f"{trouble}", hint="look at --to") from trouble
                seconds = trouble.wait or pause
                click.echo(f"citywatch: {trouble}; trying again in {seconds:.0f} s", err=True)
                self._sleep(seconds)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except TooLargeError as error:
                raise CitywatchError("the server takes no batches of this size") from error
            except SendError as error:
                raise CitywatchError(str(error)) from error
            else:
                return

    def _media(self, batch: Sequence[str]) -> str:
        """Some shapes are rows of CSV."""
        csv = self._path != "/api/v1/events" and not batch[0].startswith("{")
        return "text/csv; charset=utf-8" if csv else "application/x-ndjson"
