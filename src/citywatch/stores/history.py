"""All events ever accepted, for readers in any process: compacted files by day and the log's newest segments.

`manifest.json` is the only truth about compacted files. A reader takes the manifest, then the segments above its
sequence number; replaced files stay for a while, so a reader never meets an event twice or a file that has vanished.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citywatch.errors import StoreError
from citywatch.event import STORED, derived_sql
from citywatch.stores import durable
from citywatch.stores.directory import DataDirectory
from citywatch.stores.log import Footer, Log

if TYPE_CHECKING:
    import duckdb

REST = ""
"""Name of the part that holds days too small for files of their own."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One compacted file: the events of one day (UTC, of `time`), or of several small days in the rest."""

    path: str
    rows: int
    bytes: int


@dataclass(slots=True)
class Manifest:
    """Which compacted files count; they hold exactly the events up to `seq`.

    `footer` is that of the last published segment. `days` is by ISO date. `replaced` says since when (Unix seconds)
    files, named from the data directory, do not count.
    """

    seq: int = 0
    version: int = 0
    days: dict[str, list[HistoryFile]] = field(default_factory=dict)
    replaced: dict[str, float] = field(default_factory=dict)
    footer: Footer | None = None

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """The manifest below `directory`, empty where there is none. Raises StoreError when it is damaged."""
        path = directory / "manifest.json"
        if not path.exists():
            return cls()
        try:
            found = json.loads(path.read_text("utf-8"))
            days = {day: [HistoryFile(**file) for file in files] for day, files in found["days"].items()}
            footer = Footer.from_json(found["footer"]) if found["footer"] else None
            return cls(found["seq"], found["version"], days, found["replaced"], footer)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} cannot be read: {error!r}", hint="restore it from a backup") from error

    def write(self, directory: Path) -> None:
        """Make this the truth; durable when it returns."""
        durable.write(directory / "manifest.json", json.dumps(asdict(self), indent=1).encode())

    def files(self) -> list[HistoryFile]:
        """All compacted files, by day."""
        return [file for _, files in sorted(self.days.items()) for file in files]


class History:
    """Reads the history of one data directory.

    Parameters
    ----------
    data
        The data directory; `create_view` raises StoreError when it is none.
    """

    def __init__(self, data: Path) -> None:
        self._data = DataDirectory(data)

    def paths(self, above: int = 0) -> list[Path]:
        """Files that together hold every event after number `above`; they may hold older ones, too.

        They can be opened for ten minutes at least.
        """
        manifest = Manifest.read(self._data.history)
        segments = [segment.path for segment in Log(self._data.log).segments(max(manifest.seq, above))]
        if above >= manifest.seq:
            return segments
        return [self._data.history / file.path for file in manifest.files()] + segments

    def relation_sql(self, *, above: int = 0, until: int | None = None) -> str:
        """SQL of all stored and derived columns of the events numbered in (above, until], each exactly once."""
        zone = self._data.stored()["zone"]
        stored = ", ".join(_quoted(name) for name, _ in STORED)
        derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(zone).items())
        bounds = [f"seq > {above}"] if above else []
        if until is not None:
            bounds.append(f"seq <= {until}")
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        return f"SELECT {stored}, {derived} FROM {_scan(self.paths(above))}{where}"

    def create_view(self, con: duckdb.DuckDBPyConnection, name: str = "events") -> None:
        """Make the view `name` on `con`: every event that is accepted now, with all columns.

        It shows the moment of its making; make it again to see what came later.
        """
        con.execute(f"CREATE OR REPLACE TEMP VIEW {_quoted(name)} AS {self.relation_sql()}")

    def rows(self) -> int:
        """How many events are stored: the last sequence number."""
        last = Log(self._data.log).last()
        return max(Manifest.read(self._data.history).seq, last.last if last else 0)


def _scan(paths: list[Path]) -> str:
    if not paths:
        columns = ", ".join(f"CAST(NULL AS {sql}) AS {_quoted(name)}" for name, sql in STORED)
        return f"(SELECT {columns} WHERE false)"
    listed = ", ".join("'" + str(path.absolute()).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def summary(data: DataDirectory) -> dict[str, Any]:
    """What `doctor` says about history: events, days, files and bytes."""
    manifest = Manifest.read(data.history)
    segments = Log(data.log).segments(manifest.seq)
    return {
        "events": sum(file.rows for file in manifest.files())
        + sum(s.last - max(s.first - 1, manifest.seq) for s in segments),
        "days": sum(1 for day in manifest.days if day != REST),
        "files": len(manifest.files()) + len(segments),
        "bytes": sum(file.bytes for file in manifest.files()) + sum(s.path.stat().st_size for s in segments),
    }
