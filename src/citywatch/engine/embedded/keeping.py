"""Work on the stores that somebody asks for or that is due once in a while: compact, expire, take a snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from citywatch.engine.embedded.intake import Intake
from citywatch.engine.embedded.steps import Steps
from citywatch.errors import StoreError
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores.compaction import Compactor
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.expiry import Expiry, by_type
from citywatch.stores.history import summary
from citywatch.stores.identity import Identities
from citywatch.stores.old_images import OldImages
from citywatch.stores.snapshot import Snapshot

_WHOLE_DAY = 2
"""Compacting on request merges the files of every day that has so many."""


class Held(Protocol):
    """What this work needs of whoever holds the data directory."""

    @property
    def identities(self) -> Identities:
        """The index of all events that are known."""

    def settle(self) -> int:
        """Write down every identity; gives back the number of the last event that nobody needs in the log."""

    def at_commit(self, take: Callable[[], None], copy: Callable[[Callable[[Path], None]], None]) -> None:
        """Between two commits: `take` while nothing is accepted, then `copy` while no rule runs.

        `copy` is given what copies the engine's database to a path.
        """


class Keeping:
    """Does it, one piece at a time, in the thread that calls."""

    def __init__(self, data: DataDirectory, settings: Settings, held: Held) -> None:
        self._data = data
        self._settings = settings
        self._held = held
        self._compactor = Compactor(data)

    def do(self, what: str, how: dict[str, Any]) -> dict[str, Any]:
        """`compact`, `expire` or `snapshot`, with its arguments by name."""
        work: dict[str, Callable[..., dict[str, Any]]] = {
            "compact": self.compact,
            "expire": self.expire,
            "snapshot": self.snapshot,
        }
        return work[what](**how)

    def compact(self) -> dict[str, Any]:
        """Publish all events by day, in few files; how history stood before and stands now."""
        before = summary(self._data)
        self._publish()
        while self._compactor.merge_day(_WHOLE_DAY):
            pass
        while self._held.identities.merge():
            pass
        self._compactor.remove_replaced()
        return {"before": before, "after": summary(self._data)}

    def expire(self, *, dry_run: bool, now: int | None = None, retention: str | None = None) -> dict[str, Any]:
        """Remove what is older than retention keeps it; kind of data -> how many, events by type.

        `dry_run`: only count. `now`: µs UTC. `retention`: what whoever asks takes for it, as text. StoreError where it
        is another one here, since what is removed and what is refused as expired have to go together.
        """
        if retention not in (None, str(self._settings.retention)):
            raise StoreError(
                "[retention] is another one than when the citywatch that runs here was started",
                hint="restart it; what CITYWATCH_RETENTION says counts as well",
            )
        now = time.time_ns() // 1000 if now is None else now
        with Desk(self._data.desk) as desk:
            events = self._expire_events(desk, now, dry_run=dry_run)
            return {"events": events} | dict(self._expire_rest(desk, now, dry_run=dry_run))

    def _expire_events(self, desk: Desk, now: int, *, dry_run: bool) -> dict[str, int]:
        if not self._settings.retention.events:
            return {}
        expiry = Expiry(self._data, self._settings.retention, now, desk.needed_events())
        found = expiry.found()
        if found and not dry_run:
            if any(part.in_log for part in found):
                self._publish()
            expiry.remove(self._compactor, self._held.identities)
        return by_type(found)

    def _expire_rest(self, desk: Desk, now: int, *, dry_run: bool) -> Iterator[tuple[str, int]]:
        retention = self._settings.retention
        yield from desk.expire(retention, now, dry_run=dry_run).items()
        if retention.media:
            images = OldImages(self._data.media, now - retention.media, desk.needed_images())
            yield "media", images.count() if dry_run else images.remove()

    def snapshot(self, *, name: str) -> dict[str, Any]:
        """Make the snapshot `name`."""
        with Snapshot(self._data, name) as snapshot:
            self._held.at_commit(snapshot.take, lambda copy_engine: copy_engine(snapshot.engine))
            snapshot.complete()
        return {"path": str(snapshot.path)}

    def _publish(self) -> None:
        """Move what nobody needs in the log any more to files by day."""
        self._compactor.publish(self._held.settle())


class Resting:
    """The stores of a directory in which no engine runs. The caller holds the directory locked."""

    def __init__(self, data: DataDirectory, settings: Settings) -> None:
        self._steps = Steps(data, Ruleset(()), settings)
        self._intake = Intake(data, settings)
        self.identities = self._intake.identities

    def settle(self) -> int:
        """As `Held` says."""
        self.identities.flush(self._intake.last)
        return min(self._steps.cursor, self.identities.cursor)

    def at_commit(self, take: Callable[[], None], copy: Callable[[Callable[[Path], None]], None]) -> None:
        """As `Held` says; nothing has to be held back."""
        take()
        copy(self._steps.copy)

    def close(self) -> None:
        """Close the databases."""
        self._intake.close()
        self._steps.close()


@contextmanager
def alone(data: DataDirectory, settings: Settings) -> Iterator[Keeping]:
    """`Keeping` where no engine runs. Raises DataDirectoryBusyError where one does."""
    with data.locked(), ExitStack() as stack:
        data.prepare(settings)
        resting = Resting(data, settings)
        stack.callback(resting.close)
        yield Keeping(data, settings, resting)
