"""A second view of a data directory at one moment: files that never change are linked, databases are copied.

It lies in the directory's own `tmp`, so that links are possible, and whoever wants a backup copies it from there in
peace: what compaction or retention removes meanwhile stays in the snapshot.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from citywatch.errors import StoreError
from citywatch.settings import DAY, SECOND
from citywatch.stores import durable
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History

_PREFIX = "snapshot-"
_OWN = ("log", "history", "identity", "tmp", "lock", "desk.sqlite", "engine.duckdb", "engine.duckdb.wal", "door.json")
"""What is taken in a way of its own, or not at all."""
_PASSING = (durable.ASIDE, "-wal", "-shm", "-journal", ".part")
_NEVER_WRITTEN = ("log/", "history/", "identity/", "media/", "rejected/")
_SQLITE = ".sqlite"


class Snapshot:
    """One snapshot being made; a context manager. Call `take` at the commit point, `complete` afterwards.

    Parameters
    ----------
    name
        Of its directory, see `path`.
    """

    def __init__(self, data: DataDirectory, name: str) -> None:
        self._data = data
        self.path = snapshot_path(data, name)
        self._desk: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        for left in self._data.tmp.glob(f"{_PREFIX}*"):
            if left.stat().st_mtime < time.time() - DAY / SECOND:
                shutil.rmtree(left)
        self.path.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._desk is not None:
            self._desk.close()
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)

    def take(self) -> None:
        """Fix the moment: nothing is accepted and no rule runs meanwhile. A matter of milliseconds."""
        self._data.require_space(2 * sum(path.stat().st_size for path in (self._data.desk, self._data.engine)))
        events = History(self._data.path).paths()
        known = (path for path in self._data.identity.iterdir() if not path.name.endswith(durable.ASIDE))
        manifests = (path for path in [self._data.history / "manifest.json"] if path.exists())
        self._link(*(_below(self._data, path) for path in (*events, *known, *manifests)))
        self._desk = sqlite3.connect(self._data.desk, timeout=30, isolation_level=None, check_same_thread=False)
        self._desk.execute("BEGIN")
        self._desk.execute("SELECT count(*) FROM status").fetchall()  # the first look fixes what this connection sees

    @property
    def engine(self) -> Path:
        """Where the engine's database has to be copied to, between `take` and the next step."""
        return self.path / "engine.duckdb"

    def complete(self) -> None:
        """Copy the desk as it was at that moment, and all that does not change with events."""
        if self._desk is None:
            raise StoreError("the snapshot has to be taken first")
        _copy_database(self._desk, self.path / "desk.sqlite")
        for path in _others(self._data.path):
            if path.suffix == _SQLITE:
                self._copy_other(path)
            else:
                self._link(_below(self._data, path), fleeting=True)

    def _copy_other(self, path: Path) -> None:
        target = self.path / _below(self._data, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = sqlite3.connect(path, timeout=30)
        try:
            _copy_database(source, target)
        finally:
            source.close()

    def _link(self, *names: str, fleeting: bool = False) -> None:
        """Give files a second name; copy those that are ever written again, and where there are no links.

        `fleeting`: people's files, which an editor may just have replaced.
        """
        for name in names:
            source, target = self._data.path / name, self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if name.startswith(_NEVER_WRITTEN) and source.name != "manifest.json":
                    target.hardlink_to(source)
                else:
                    shutil.copy2(source, target)
            except FileNotFoundError:
                if not fleeting:
                    raise
            except OSError:  # no links on this file system
                shutil.copy2(source, target)


def snapshot_path(data: DataDirectory, name: str) -> Path:
    """Where the snapshot of that name is."""
    return data.tmp / f"{_PREFIX}{name}"


def _below(data: DataDirectory, path: Path) -> str:
    return str(path.relative_to(data.path))


def _others(root: Path) -> Iterator[Path]:
    """All files of people and of smaller stores: settings, lists, keys, rules, images, other databases."""
    for top in sorted(root.iterdir()):
        if top.name not in _OWN:
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and not path.name.endswith(_PASSING):
                    yield path


def _copy_database(source: sqlite3.Connection, target: Path) -> None:
    copy = sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
