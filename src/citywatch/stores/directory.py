"""The data directory: where everything is, whose format it has, who writes it, and whether there is room."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from citywatch.errors import DataDirectoryBusyError, DataVersionError, DiskFullError, SettingError, StoreError
from citywatch.settings import Settings, zone_name
from citywatch.stores import durable

FORMAT_VERSION = 1

BELONGING = ("lateness", "disorder", "stale", "zone")
"""Settings that decide alerts: the data directory keeps those it was made with."""

_MIB = 1 << 20
_RESERVE_SHARE = 0.02
_RESERVE_LEAST, _RESERVE_MOST = 16 * _MIB, 1024 * _MIB


class DataDirectory:
    """Paths below one data directory and the promises that hold for it as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = path / "FORMAT"
        self.lock_file = path / "lock"
        self.log = path / "log"
        self.history = path / "history"
        self.identity = path / "identity"
        self.engine = path / "engine.duckdb"
        self.desk = path / "desk.sqlite"
        self.devices = path / "devices.csv"
        self.precincts = path / "precincts.geojson"
        self.media = path / "media"
        self.rejected = path / "rejected"
        self.rules = path / "rules"
        self.tmp = path / "tmp"

    def exists(self) -> bool:
        """Whether an engine has ever made this directory its own."""
        return self.format.exists()

    def require(self) -> DataDirectory:
        """The directory itself, for readers; raises StoreError where there is none, DataVersionError."""
        if not self.exists():
            raise StoreError(
                f"{self.path} is no data directory", hint="`citywatch run` and `citywatch up` make one with --data"
            )
        self.stored()
        return self

    def stored(self) -> dict[str, Any]:
        """What FORMAT says: the settings that belong here, by name. Raises DataVersionError, StoreError."""
        try:
            found = json.loads(self.format.read_text("utf-8"))
            version = found["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.format} cannot be read: {error}", hint="restore it from a backup; it is a small JSON file"
            ) from error
        if version != FORMAT_VERSION:
            raise DataVersionError(
                f"{self.path} has format {version}, this citywatch reads and writes format {FORMAT_VERSION}",
                hint="use the citywatch that made it, or another --data directory",
            )
        return dict(found["settings"])

    def settings(self, overrides: Mapping[str, str] | None = None) -> Settings:
        """The settings of a run here: what is said nowhere is as the directory was made with."""
        stored = self.stored() if self.exists() else {}
        texts = {name: f"{value // 1000}ms" if isinstance(value, int) else value for name, value in stored.items()}
        return Settings.load(self.path, overrides, defaults=texts)

    def prepare(self, settings: Settings) -> None:
        """Make the directory, or check that it is ours and was made with the same settings.

        Raises DataVersionError, SettingError (naming the setting and both values), StoreError.
        """
        _require_zone(settings.zone)
        wanted = {name: getattr(settings, name) for name in BELONGING}
        try:
            for path in (self.path, self.log, self.history, self.identity, self.media, self.rejected, self.tmp):
                path.mkdir(parents=True, exist_ok=True)
            if not self.exists():
                text = json.dumps({"version": FORMAT_VERSION, "settings": wanted}, indent=2) + "\n"
                durable.write(self.format, text.encode())
        except OSError as error:
            raise StoreError(f"cannot make the data directory {self.path}: {error.strerror}") from error
        for name, value in self.stored().items():
            if wanted.get(name) != value:
                raise SettingError(
                    f"{self.path} was made with {name} = {_shown(value)}, this run says {_shown(wanted.get(name))}",
                    hint="alerts would depend on which run saw an event; use another --data directory",
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory as its only writer. Raises DataDirectoryBusyError naming the process that has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise durable.not_written(self.lock_file, error) from error
        try:
            if not _exclusive(handle):
                raise DataDirectoryBusyError(
                    f"process {self.writer() or 'unknown'} already writes {self.path}",
                    hint="stop it, send events to it, or use another --data directory",
                )
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def writer(self) -> int | None:
        """Process id of the engine that holds, or held last, the directory."""
        try:
            return int(self.lock_file.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def busy(self) -> bool:
        """Whether an engine holds the directory now."""
        try:
            handle = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def free(self) -> tuple[int, int]:
        """(bytes that may still be written, bytes kept back so that the engine can always finish what it began)."""
        disk = os.statvfs(self.path)
        reserve = min(max(int(disk.f_blocks * disk.f_frsize * _RESERVE_SHARE), _RESERVE_LEAST), _RESERVE_MOST)
        return disk.f_bavail * disk.f_frsize - reserve, reserve

    def require_space(self, needed: int) -> None:
        """Refuse before the disk is full: raises DiskFullError unless `needed` bytes fit above the reserve."""
        free, reserve = self.free()
        if free < needed:
            raise DiskFullError(
                f"the disk of {self.path} has {max(free + reserve, 0) // _MIB} MiB left, "
                f"{(needed + reserve) // _MIB + 1} MiB are needed: nothing was accepted",
                hint="free some space and send again; what was accepted before is safe",
            )


def _require_zone(zone: str) -> None:
    try:
        zone_name(zone)
    except ValueError as error:
        raise SettingError(str(error)) from error


def _exclusive(handle: int) -> bool:
    """Take the lock; patient for a moment, because `busy` of another process holds it for an instant."""
    for _ in range(10):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _shown(value: Any) -> str:
    return f"{value / 1_000_000:g}s" if isinstance(value, int) else str(value)
