"""Tickets are issued: each approved proposal once, in a file as the city has them and as an event for the engine.

A batch is numbered on the desk, then its file is renamed to its name, then the engine's events and the end of the
batch are written together. Whenever this stops, the next call goes on where it was: the file of a batch is always the
same one, and so are its events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from citywatch.errors import StoreError, UnknownProposalError
from citywatch.stores import durable
from citywatch.stores.city_form import city_form
from citywatch.stores.desk import Desk
from citywatch.stores.desk.tickets import Batch, issued
from citywatch.ticketing import Issued


def issue(desk: Desk, directory: Path, *, by: str, first: int, zone: str) -> list[Batch]:
    """Issue what is approved; returns the batches that are finished with this call, those a stop had left first.

    Parameters
    ----------
    desk
        Where approvals are, and numbers and events go.
    directory
        Where the files go; made when it is absent. Raises StoreError, DiskFullError where it cannot be written.
    by
        Who issues them.
    first
        Number of the very first ticket; later ones go on from the highest.
    zone
        The city's time zone, by its IANA name.
    """
    directory = directory.absolute()
    _make(directory)
    finished = [_finish(desk, batch, directory, zone) for batch in desk.open_batches()]
    desk.begin_batch(directory, by, first)
    return finished + [_finish(desk, batch, directory, zone) for batch in desk.open_batches()]


@dataclass(frozen=True, slots=True)
class Office:
    """Issues the tickets of one desk into one directory, for those who know no store; see `issue`."""

    desk: Callable[[], Desk]
    directory: Path
    first: int
    zone: str

    def issue(self, by: str) -> list[Issued]:
        """Issue what is approved, for somebody."""
        with self.desk() as desk:
            batches = issue(desk, self.directory, by=by, first=self.first, zone=self.zone)
            return [Issued(b.number, [ticket["summons_number"] for ticket in desk.in_batch(b)]) for b in batches]

    def file(self, batch: int) -> bytes:
        """The file of a finished batch. Raises UnknownProposalError; StoreError where somebody took the file."""
        with self.desk() as desk:
            found = desk.batch(batch)
            if found.number in [waiting.number for waiting in desk.open_batches()]:
                raise UnknownProposalError(f"batch {batch} is not finished", hint="export again: that finishes it")
        try:
            return found.file.read_bytes()
        except OSError as error:
            hint = "look where the files of tickets were moved to"
            raise StoreError(f"{found.file} cannot be read: {error.strerror}", hint=hint) from error


def _make(directory: Path) -> None:
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            durable.sync_directory(directory.parent)
    except OSError as error:
        raise durable.not_written(directory, error) from error


def _finish(desk: Desk, batch: Batch, directory: Path, zone: str) -> Batch:
    """Write the file of a batch, unless it is there already, and close the batch."""
    if not batch.file.exists():
        batch = desk.place_batch(batch, directory)
        durable.write(batch.file, city_form(desk.in_batch(batch), zone).encode())
    desk.finish_batch(batch, lambda ticket: issued(ticket, batch))
    return batch
