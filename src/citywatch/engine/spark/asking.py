"""Statements over the events of an archive: each worker answers for some of the files, in DuckDB."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from citywatch.engine.spark.message import bundle, packed, unbundled, unpacked
from citywatch.stores.archive.manifest import Archive, File
from citywatch.stores.archive.reading import create_view
from citywatch.stores.archive.writing import MOST

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = 100_000
_MEMORY = "1GB"


@dataclass(frozen=True)
class Asking:
    """A statement as it travels to the workers. `beside`: the small tables that it names, as a `bundle`."""

    address: str
    zone: str
    sql: str
    beside: bytes

    def __call__(self, files: Sequence[File]) -> Iterator[bytes]:
        """What it says of the events in these files: `packed` tables."""
        archive = Archive(self.address)
        with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY}) as con:
            con.execute("SET TimeZone = 'UTC'")
            archive.files.attach(con)
            create_view(con, archive, files, self.zone)
            for name, table in unbundled(self.beside).items():
                con.register(name, table)
            for batch in con.sql(self.sql).to_arrow_reader(_ROWS):
                yield packed(pa.Table.from_batches([batch]))


class Workers:
    """Asks the workers of a Spark session; a `Scans.elsewhere`."""

    def __init__(self, spark: SparkSession, archive: Archive, files: Sequence[File], zone: str) -> None:
        self._context = spark.sparkContext
        self._address, self._zone = archive.address, zone
        # What one slice says stands in the driver's memory at once, so there are more of them the more there is.
        enough = -(-sum(file.bytes for file in files) // MOST)
        self._slices = shared_out(files, max(self._context.defaultParallelism, enough))

    def __call__(self, sql: str, beside: Mapping[str, pa.Table]) -> Iterator[pa.Table]:
        """What they say, a table at a time; on their disks until it is fetched."""
        from pyspark import StorageLevel  # noqa: PLC0415 - only where there is Spark

        asking = Asking(self._address, self._zone, sql, bundle(beside))
        said = self._context.parallelize(self._slices, max(len(self._slices), 1)).flatMap(asking)
        said.persist(StorageLevel.DISK_ONLY)
        try:
            said.count()  # all at once: what follows fetches one after the other
            yield from (unpacked(content) for content in said.toLocalIterator())
        finally:
            said.unpersist()


def shared_out(files: Sequence[File], slices: int) -> list[list[File]]:
    """The files in so many heaps, or fewer, of about the same number of bytes."""
    heaps: list[tuple[int, int, list[File]]] = [(0, n, []) for n in range(min(slices, len(files)))]
    for file in sorted(files, key=lambda file: (-file.bytes, file.path)):
        size, n, heap = heapq.heappop(heaps)
        heap.append(file)
        heapq.heappush(heaps, (size + file.bytes, n, heap))
    return [heap for _, _, heap in sorted(heaps, key=lambda entry: entry[1])]
