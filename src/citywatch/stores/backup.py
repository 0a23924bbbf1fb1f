"""A backup: a snapshot of a data directory somewhere else, with a list of its files and what they have to be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from citywatch import __version__
from citywatch.errors import DiskFullError, StoreError
from citywatch.stores import durable
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History, Manifest
from citywatch.stores.log import Log

LIST = "backup.json"
_VERSION = 1
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and those that there are."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds: events ever accepted, alerts, rejected records, bytes, and when it was made."""

    events: int
    alerts: int
    rejected: int
    bytes: int
    made: str


def write_backup(snapshot: Path, target: Path, progress: Progress = lambda *_: None) -> Contents:
    """Copy a snapshot to `target`, which must not be there yet; it appears whole or not at all.

    Raises StoreError, DiskFullError.
    """
    if target.exists():
        raise StoreError(f"{target} is already there", hint="name a new directory, as backup-2026-05-01")
    files = dict(_files(snapshot))
    found = _counted(snapshot, sum(files.values()))
    with _Aside(target, found.bytes) as aside:
        sums = _copy(snapshot, aside, files, progress)
        listed = {"version": _VERSION, "citywatch": __version__, **asdict(found), "files": sums}
        durable.write(aside / LIST, json.dumps(listed, indent=1).encode())
    return found


def restore_backup(backup: Path, target: Path, progress: Progress = lambda *_: None) -> Contents:
    """Make a data directory of a backup, and look whether it is what was backed up.

    `target` must be empty or not there; nothing is left of it when something is wrong. Raises StoreError naming the
    file that is missing or was changed, DiskFullError.
    """
    listed = _listed(backup)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} is not empty", hint="restore to a new directory, then put it in the other's place")
    sizes = {name: _sized(backup / name, wanted["bytes"]) for name, wanted in listed["files"].items()}
    with _Aside(target, sum(sizes.values())) as aside:
        sums = _copy(backup, aside, sizes, progress)
        for name, wanted in listed["files"].items():
            if sums[name] != wanted:
                raise StoreError(f"{backup / name} is damaged: its SHA-256 is another", hint="take another backup")
        return _verified(aside, listed)


def _verified(directory: Path, listed: dict[str, Any]) -> Contents:
    """Look into the restored stores: they can be read, and hold as much as was written down."""
    DataDirectory(directory).require()
    History(directory).paths()
    with sqlite3.connect(directory / "desk.sqlite") as desk:
        said = desk.execute("PRAGMA quick_check").fetchone()[0]
    desk.close()
    if said != "ok":
        raise StoreError(f"{directory / 'desk.sqlite'} is damaged: {said}", hint="take another backup")
    found = _counted(directory, listed["bytes"])
    for name in ("events", "alerts", "rejected"):
        if getattr(found, name) != listed[name]:
            raise StoreError(
                f"the backup should have {listed[name]:,} {name}, and has {getattr(found, name):,}",
                hint="take another backup",
            )
    return Contents(**{**asdict(found), "made": listed["made"]})


def _counted(directory: Path, size: int) -> Contents:
    with sqlite3.connect(directory / "desk.sqlite") as desk:
        alerts, rejected = (desk.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("facts", "rejected"))
    desk.close()
    last = Log(directory / "log").last()
    events = max(Manifest.read(directory / "history").seq, last.last if last else 0)
    return Contents(events, alerts, rejected, size, datetime.now(UTC).isoformat(timespec="seconds"))


class _Aside:
    """A directory beside `target` that becomes it when all goes well, and nothing when not."""

    def __init__(self, target: Path, needed: int) -> None:
        self._target = target
        self._aside = target.with_name(f"{target.name}.part")
        self._needed = needed

    def __enter__(self) -> Path:
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside.mkdir()
        except OSError as error:
            raise durable.not_written(self._target, error) from error
        if shutil.disk_usage(self._aside).free < self._needed:
            self._aside.rmdir()
            raise DiskFullError(f"{self._target} needs {self._needed >> 20:,} MiB", hint="free some space there")
        return self._aside

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
            return
        for directory, _folders, _names in os.walk(self._aside):
            durable.sync_directory(Path(directory))
        durable.publish(self._aside, self._target)


def _listed(backup: Path) -> dict[str, Any]:
    try:
        listed: dict[str, Any] = json.loads((backup / LIST).read_text("utf-8"))
        version = listed["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{backup} is no backup: {LIST} cannot be read", hint="`citywatch backup DEST` makes one"
        ) from error
    if version != _VERSION:
        raise StoreError(f"{backup} is a backup of version {version}, this citywatch reads {_VERSION}")
    return listed


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """(name, bytes) of all files below a directory."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path.stat().st_size


def _sized(path: Path, wanted: int) -> int:
    size = path.stat().st_size if path.is_file() else None
    if size != wanted:
        what = "is missing" if size is None else f"has {size:,} bytes instead of {wanted:,}"
        raise StoreError(f"{path} {what}", hint="take another backup")
    return wanted


def _copy(source: Path, target: Path, files: dict[str, int], progress: Progress) -> dict[str, dict[str, Any]]:
    """Copy files with their permissions; name -> bytes and SHA-256 of what was copied."""
    done, total = 0, sum(files.values())
    sums = {}
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            size, digest = _copy_file(source / name, target / name)
        except OSError as error:
            raise durable.not_written(target / name, error) from error
        sums[name] = {"bytes": size, "sha256": digest}
        done += size
        progress(done, total)
    return sums


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("wb") as written:
        while block := read.read(_BLOCK):
            digest.update(block)
            written.write(block)
            size += len(block)
        written.flush()
        os.fsync(written.fileno())
    shutil.copystat(source, target)
    return size, digest.hexdigest()
