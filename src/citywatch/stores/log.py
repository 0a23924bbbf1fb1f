"""The intake log: immutable Parquet segments named by the range of sequence numbers that they hold.

A segment exists from the moment it is renamed to its name; that is when its events are accepted. The newest part of
history is the same files, so that one write serves both. Neighbouring small segments are joined later: the joined
file covers the range of the small ones, which are removed when no reader can still be on its way to them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from citywatch.errors import StoreError
from citywatch.event import batch_schema
from citywatch.stores import durable

GRACE_S = 600.0
"""Replaced files are kept so long: a reader that has listed them can still open them."""

SMALL_ROWS = 50_000
"""Segments with fewer rows are joined with their neighbours."""

_JOINED_ROWS = 2 * SMALL_ROWS
"""At most so many rows are joined at once: they are in memory then."""

JOIN_AT = 64
"""So many small neighbours are joined into one; a reader never has many more small files to open."""

_FOOTER = "citywatch"

# Few distinct values: a dictionary makes these columns small and quick. Statistics only where a reader skips by them.
_DICTIONARY = (
    "source type subject time_precision street borough precinct device_id device_kind violation_code plate"
    " plate_state plate_type vehicle_make vehicle_body vehicle_color vehicle_year issuer_agency gender"
    " sensor_kind unit label severity"
).split()
_STATISTICS = ["seq", "type", "time", "received_at"]
# In files that are kept: questions about what is missing or wrong are answered by them for most groups of rows.
_MORE_STATISTICS = [
    *("late", "stale", "backfill", "time_precision", "address", "street", "borough", "precinct", "lat", "lon"),
    *("violation_code", "plate", "plate_state", "device_id", "speed_kmh", "corrects_id"),
]


def parquet_options(compression: str, *, kept: bool = False) -> dict[str, Any]:
    """How event files are written, the `kept` ones with more for readers to skip by.

    Measured for 100,000 events of 300 bytes: lz4 67 ms, 89 B each; zstd 110, 56.
    """
    return {
        "compression": compression,
        "write_batch_size": 1 << 16,  # the default of 1,024 values at a time takes 4% longer
        "use_dictionary": _DICTIONARY,
        "write_statistics": _STATISTICS + _MORE_STATISTICS * kept,
        "store_schema": False,
    }


@dataclass(frozen=True, slots=True)
class Segment:
    """The events `first`..`last` of the log, in `path`."""

    first: int
    last: int
    path: Path

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return self.last - self.first + 1


@dataclass(slots=True)
class Counts:
    """What has become of all records ever read here; running totals, kept in the footer of every segment."""

    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    late: int = 0
    stale: int = 0
    backfill: int = 0

    @property
    def read(self) -> int:
        """Every record has become exactly one of event, duplicate, rejected."""
        return self.events + self.duplicates + self.rejected

    def add(self, other: Counts) -> None:
        """Count what `other` has counted, too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True)
class Footer:
    """What a segment says beside its events: the clock after it (µs) and the totals."""

    clock: int
    counts: Counts

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Footer:
        """The footer that `dataclasses.asdict` had made."""
        return cls(found["clock"], Counts(**found["counts"]))


class Log:
    """The segments below one directory. One writer; any number of readers in other processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def segments(self, above: int = 0) -> list[Segment]:
        """The segments that hold the events after number `above`, in order, each event once. Raises StoreError."""
        chosen: list[Segment] = []
        reached = above
        for segment in _widest_first(self._found()):
            if segment.last <= reached:
                continue
            if segment.first > reached + 1:
                raise StoreError(
                    f"{self.directory} has no segment with the events {reached + 1} to {segment.first - 1}",
                    hint="files were removed by hand; restore them from a backup",
                )
            chosen.append(segment)
            reached = segment.last
        return chosen

    def _found(self) -> Iterator[Segment]:
        for path in self.directory.glob("*.parquet"):
            first, _, last = path.stem.partition("-")
            yield Segment(int(first), int(last), path)

    def append(self, batch: pa.Table, footer: Footer) -> Segment:
        """Write a batch (`batch_schema`, dense ascending seq) as a segment; durable when this returns."""
        segment = self._named(batch.column("seq")[0].as_py(), batch.column("seq")[-1].as_py())
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, batch_schema(), **parquet_options("lz4")) as writer:
            writer.write_table(batch)
            writer.add_key_value_metadata({_FOOTER: json.dumps(asdict(footer))})
        durable.write(segment.path, sink.getvalue())
        return segment

    def _named(self, first: int, last: int) -> Segment:
        return Segment(first, last, self.directory / f"{first:016d}-{last:016d}.parquet")

    def read(self, segment: Segment, above: int = 0, columns: Sequence[str] | None = None) -> pa.Table:
        """The events of a segment after number `above`. Raises StoreError naming a file that cannot be read."""
        with _opened(segment.path) as file:
            # Several threads for a small file cost more than they save.
            wanted = list(columns) if columns else None
            table = file.read(wanted, use_threads=segment.rows >= SMALL_ROWS)
        schema = batch_schema()
        form = pa.schema([schema.field(name) for name in columns]) if columns else schema
        table = table.replace_schema_metadata(None)
        cast = table if table.schema.equals(form) else table.cast(form)
        return cast.slice(max(above - segment.first + 1, 0))

    def parts(self, segment: Segment, above: int, rows: int) -> Iterator[pa.Table]:
        """As `read`, in parts of `rows` events, of which only one is in memory."""
        skipped = max(above - segment.first + 1, 0)
        for part in parts_of(segment.path, rows):
            yield part.slice(skipped)
            skipped = max(skipped - len(part), 0)

    def footer(self, segment: Segment) -> Footer:
        """What the segment says beside its events."""
        try:
            metadata = pq.read_metadata(segment.path).metadata or {}
            return Footer.from_json(json.loads(metadata[_FOOTER.encode()]))
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{segment.path} cannot be read: {error}", hint="restore it from a backup") from error

    def holds(self, number: int) -> bool:
        """Whether the event of that number is in a segment that is still here."""
        return any(segment.first <= number <= segment.last for segment in self._found())

    def last(self) -> Segment | None:
        """The newest segment, if there is any."""
        return max(self._found(), key=lambda segment: (segment.last, segment.rows), default=None)

    def join_small(self, above: int) -> Segment | None:
        """Join one run of small neighbours after number `above`, when there are enough; None when nothing is to do."""
        run = _small_run([segment for segment in self.segments(above) if segment.first > above])
        if not run:
            return None
        joined = pa.concat_tables([self.read(segment) for segment in run])
        return self.append(joined, self.footer(run[-1]))

    def paths(self, until: int) -> list[Path]:
        """All files, joined or not, that hold only events up to number `until`."""
        return [segment.path for segment in self._found() if segment.last <= until]

    def remove_covered(self, published: int, grace_s: float = GRACE_S) -> int:
        """Remove small segments that were joined more than `grace_s` seconds ago; returns how many."""
        found = list(self._found())  # before what is kept: what is appended meanwhile is none of ours
        kept = self.segments(published)
        gone = [
            segment
            for segment in found
            if segment.first > published and segment not in kept and _covered_for(segment, kept) > grace_s
        ]
        for segment in gone:
            segment.path.unlink(missing_ok=True)
        return len(gone)


def parts_of(path: Path, rows: int) -> Iterator[pa.Table]:
    """The events of a file in parts of `rows`, of which only one is in memory. Raises StoreError."""
    with _opened(path) as file:
        for batch in file.iter_batches(rows, use_threads=False):
            yield pa.Table.from_batches([batch]).cast(batch_schema())


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read: {error}", hint="restore it from a backup") from error


def _covered_for(segment: Segment, kept: Sequence[Segment]) -> float:
    """Seconds since the file was made that holds the events of `segment`, too; endlessly few where none does."""
    cover = next((wide for wide in kept if wide.first <= segment.first and segment.last <= wide.last), None)
    return time.time() - cover.path.stat().st_mtime if cover else -math.inf


def _widest_first(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=lambda segment: (segment.first, -segment.last))


def _small_run(segments: Sequence[Segment]) -> list[Segment]:
    """The longest run of small neighbours at the newest end of `segments`, empty when it is not worth a join.

    It does not begin with one that is larger than all others: what was joined is joined again when as much has come.
    Nor is more joined than a little memory holds: segments that are not so small may stay as they are.
    """
    run: list[Segment] = []
    rows = 0
    for segment in reversed(segments):
        rows += segment.rows
        if segment.rows >= SMALL_ROWS or rows > _JOINED_ROWS or len(run) == 4 * JOIN_AT:
            break
        run.append(segment)
    while len(run) > 1 and run[-1].rows > sum(segment.rows for segment in run[:-1]):
        run.pop()
    return run[::-1] if len(run) >= JOIN_AT else []
