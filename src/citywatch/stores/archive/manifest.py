"""Which files of an archive count: numbered manifests, of which the highest is the only truth.

A new one is written aside and renamed to the next number, which is refused where another job was quicker: of two jobs
at the same time one begins anew, and no file counts twice.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from citywatch.errors import DataVersionError, StoreError
from citywatch.stores.archive.files import Files, Sink, files_at

FORMAT = 1
GRACE_S = 3600.0
"""Files that were replaced stay so long: a reader that has listed them can still open them."""
_KEPT = 20
_TRIES = 20
_CLOSING = 16
_DIRECTORY = "_manifest"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the archive. `mark` tells whether what it was made of has changed since."""

    path: str
    rows: int
    bytes: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What there is.

    Attributes
    ----------
    number
        Of this manifest; 0 where there is none yet.
    directory
        Name of the data directory, or of the job's checkpoint, whose events these are.
    seq
        Number of the last event that was taken over; of a job on Spark, how many there are.
    batch
        Number of the last batch that a job on Spark has taken over; -1 where there is none.
    settings
        Those that belong to the data directory.
    events
        `day=2026-05-01/type=drone.violation` -> its files.
    rejected, alerts
        Day on which they were first seen -> the files with all of that day.
    population
        Content of the data directory's `population.csv`.
    replaced
        Path of a file that does not count any more -> since when (Unix seconds).
    """

    number: int = 0
    directory: str = ""
    seq: int = 0
    batch: int = -1
    settings: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    rejected: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    alerts: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    population: str | None = None
    replaced: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Manifest:
        """From its JSON. Raises KeyError, TypeError, ValueError."""
        given = {name: value for name, value in found.items() if name != "format"}
        for name in _LISTED:
            given[name] = {part: tuple(File(**file) for file in files) for part, files in found[name].items()}
        return cls(**given)

    def files(self) -> list[File]:
        """All files that count."""
        return [file for name in _LISTED for files in getattr(self, name).values() for file in files]


_LISTED = ("events", "rejected", "alerts")


class Archive:
    """The directory of one archive, at `hdfs://namenode:8020/path`, `file:///path` or a path. Raises UsageError."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: Files
        self.files, self.root = files_at(address)
        self._pool = ThreadPoolExecutor(_CLOSING, thread_name_prefix="closing")
        self._closing: list[Future[None]] = []

    def url(self, file: File) -> str:
        """The whole address of a file."""
        return f"{self.files.place}{self.root}/{file.path}"

    def manifest(self) -> Manifest:
        """The present one. Raises StoreError when it is damaged, DataVersionError."""
        newest = max(self._numbers(), default=0)
        if not newest:
            return Manifest()
        path = self._path(newest)
        try:
            found = json.loads(self.files.read(path))
            if (version := found["format"]) != FORMAT:
                hint = "use the citywatch that made it, or another directory"
                raise DataVersionError(f"{self.address} has format {version}, this citywatch knows {FORMAT}", hint=hint)
            return Manifest.of(found)
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise StoreError(f"{path} cannot be read: {error!r}", hint="an older one beside it may be whole") from error

    def require(self) -> Manifest:
        """The present one; raises StoreError where there is none."""
        found = self.manifest()
        if not found.number:
            raise StoreError(
                f"{self.address} holds no archive",
                hint="`citywatch archive --to` or `citywatch spark archive` makes one",
            )
        return found

    def commit(self, manifest: Manifest, replaced: list[File]) -> Manifest | None:
        """Make this the truth instead of the one with its number; None when another job was quicker.

        `replaced` are files that count no more.
        """
        self.settle()
        gone = {**manifest.replaced, **{file.path: time.time() for file in replaced}}
        new = replace(manifest, number=manifest.number + 1, replaced=gone)
        aside = f"{self.root}/{_DIRECTORY}/.{secrets.token_hex(8)}"
        sink = self.files.create(aside)
        sink.write(json.dumps({"format": FORMAT, **asdict(new)}, indent=1).encode())
        sink.close()
        try:
            self.files.rename(aside, self._path(new.number))
        except FileExistsError:
            self.files.remove(aside)
            return None
        except FileNotFoundError:  # an earlier try has done it, and its answer was lost
            if self.manifest() != new:
                return None
        return new

    def change(self, what: Callable[[Manifest], tuple[Manifest, list[File]] | None]) -> Manifest | None:
        """Commit what `what` makes of the present manifest, with the files that it replaces; None where it says so.

        It is asked again whenever another job was quicker. Raises StoreError when that never ends.
        """
        for _ in range(_TRIES):
            asked = what(self.manifest())
            if asked is None:
                return None
            if (found := self.commit(*asked)) is not None:
                return found
        raise StoreError(f"other jobs write to {self.address} all the time", hint="let fewer jobs do it")

    def close_soon(self, sink: Sink) -> None:
        """Close a file while others are written: HDFS takes half a second for it. See `settle`."""
        self._closing.append(self._pool.submit(sink.close))

    def settle(self) -> None:
        """Wait until all that was written is on the disks. Raises StoreError."""
        closing, self._closing = self._closing, []
        for each in closing:
            each.result()

    def clean(self, grace_s: float = GRACE_S) -> int:
        """Remove what was replaced, or left by a job that was killed, more than `grace_s` ago; returns how many."""
        now, manifest = time.time(), self.manifest()
        counting = {f"{self.root}/{file.path}" for file in manifest.files()}
        since = {f"{self.root}/{path}": at for path, at in manifest.replaced.items()}
        old = [
            path
            for path, changed in self.files.below(self.root)
            if path not in counting and f"/{_DIRECTORY}/" not in path and since.get(path, changed) < now - grace_s
        ]
        old += [self._path(number) for number in self._numbers()[:-_KEPT]]
        for path in old:
            self.files.remove(path)
        return len(old)

    def forget_replaced(self, manifest: Manifest, grace_s: float = GRACE_S) -> Manifest:
        """The manifest without the names of files that are removed."""
        recent = {path: at for path, at in manifest.replaced.items() if at > time.time() - 2 * grace_s}
        return replace(manifest, replaced=recent)

    def _numbers(self) -> list[int]:
        try:
            files = self.files.below(f"{self.root}/{_DIRECTORY}")
        except FileNotFoundError:
            return []
        names = [path.rpartition("/")[2].removesuffix(".json") for path, _ in files]
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, number: int) -> str:
        return f"{self.root}/{_DIRECTORY}/{number:010d}.json"
