"""Which files of an archive count: numbered manifests, of which the highest is the only truth.

A new one is written aside and renamed to the next number, which HDFS refuses where another job was quicker: of two
jobs at the same time one begins anew, and no file counts twice.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from citywatch.connections.hdfs import Address, Hdfs
from citywatch.errors import DataVersionError, StoreError

FORMAT = 1
GRACE_S = 3600.0
"""Files that were replaced stay so long: a reader that has listed them can still open them."""
_KEPT = 20
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
        Name of the data directory whose history this is.
    seq
        Number of the last event that was taken over.
    settings
        Those that belong to the data directory.
    events
        `day=2026-05-01/type=drone.violation` -> its files.
    rejected, alerts
        Day on which they were first seen -> the file with all of that day.
    population
        Content of the data directory's `population.csv`.
    replaced
        Path of a file that does not count any more -> since when (Unix seconds).
    """

    number: int = 0
    directory: str = ""
    seq: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    rejected: Mapping[str, File] = field(default_factory=dict)
    alerts: Mapping[str, File] = field(default_factory=dict)
    population: str | None = None
    replaced: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Manifest:
        """From its JSON. Raises KeyError, TypeError, ValueError."""
        given = {name: value for name, value in found.items() if name != "format"}
        given["events"] = {part: tuple(File(**file) for file in files) for part, files in found["events"].items()}
        for name in ("rejected", "alerts"):
            given[name] = {day: File(**file) for day, file in found[name].items()}
        return cls(**given)

    def files(self) -> list[File]:
        """All files that count."""
        events = [file for files in self.events.values() for file in files]
        return [*events, *self.rejected.values(), *self.alerts.values()]


class Archive:
    """The directory of one archive. `hdfs` raises StoreErrors."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.root = address.path.rstrip("/")
        self.hdfs = Hdfs(address.cluster, lambda what, hint: StoreError(what, hint=hint))

    def url(self, file: File) -> str:
        """The whole address of a file."""
        return f"{self.hdfs.cluster}{self.root}/{file.path}"

    def manifest(self) -> Manifest:
        """The present one. Raises StoreError when it is damaged, DataVersionError."""
        newest = max(self._numbers(), default=0)
        if not newest:
            return Manifest()
        path = self._path(newest)
        try:
            found = json.loads(self.hdfs.read(path))
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
            raise StoreError(f"{self.address} holds no archive", hint="`citywatch archive --to` makes one")
        return found

    def commit(self, manifest: Manifest, replaced: list[File]) -> Manifest | None:
        """Make this the truth instead of the one with its number; None when another job was quicker.

        `replaced` are files that count no more.
        """
        gone = {**manifest.replaced, **{file.path: time.time() for file in replaced}}
        new = replace(manifest, number=manifest.number + 1, replaced=gone)
        aside = f"{self.root}/{_DIRECTORY}/.{secrets.token_hex(8)}"
        self.write(aside, json.dumps({"format": FORMAT, **asdict(new)}, indent=1).encode())
        try:
            self.hdfs.tried("publish a manifest", lambda: self.hdfs.client.rename(aside, self._path(new.number)))
        except FileExistsError:
            self.remove(aside)
            return None
        except FileNotFoundError:  # an earlier try has done it, and its answer was lost
            if self.manifest() != new:
                return None
        return new

    def write(self, path: str, content: bytes) -> None:
        """Write a small file; it is on the disks of the DataNodes when this returns."""
        from hdfs_native import WriteOptions  # noqa: PLC0415 - an extra that few need

        def once() -> None:
            with self.hdfs.client.create(path, WriteOptions(overwrite=True, create_parent=True)) as file:
                file.write(content)
                file.hsync()

        self.make_directory(path)
        self.hdfs.tried(f"write {path}", once)

    def make_directory(self, path: str) -> None:
        """Make the directory that a file is to be in, for its owner alone: plates and persons are in it."""
        parent = path.rpartition("/")[0]
        self.hdfs.tried(f"make {parent}", lambda: self.hdfs.client.mkdirs(parent, 0o700, True))

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self.hdfs.tried(f"remove {path}", lambda: self.hdfs.client.delete(path))

    def clean(self, grace_s: float = GRACE_S) -> int:
        """Remove what was replaced, or left by a job that was killed, more than `grace_s` ago; returns how many."""
        now, manifest = time.time(), self.manifest()
        counting = {f"{self.root}/{file.path}" for file in manifest.files()}
        since = {f"{self.root}/{path}": at for path, at in manifest.replaced.items()}
        old = [
            status.path
            for status in self.hdfs.files(self.root)
            if status.path not in counting
            and f"/{_DIRECTORY}/" not in status.path
            and since.get(status.path, status.modification_time / 1000) < now - grace_s
        ]
        old += [self._path(number) for number in self._numbers()[:-_KEPT]]
        for path in old:
            self.remove(path)
        return len(old)

    def forget_replaced(self, manifest: Manifest, grace_s: float = GRACE_S) -> Manifest:
        """The manifest without the names of files that are removed."""
        recent = {path: at for path, at in manifest.replaced.items() if at > time.time() - 2 * grace_s}
        return replace(manifest, replaced=recent)

    def _numbers(self) -> list[int]:
        try:
            files = self.hdfs.files(f"{self.root}/{_DIRECTORY}")
        except FileNotFoundError:
            return []
        names = [status.path.rpartition("/")[2].removesuffix(".json") for status in files]
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, number: int) -> str:
        return f"{self.root}/{_DIRECTORY}/{number:010d}.json"
