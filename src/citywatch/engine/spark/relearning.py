"""What an archive says to a job whose checkpoint knows nothing: identities, numbers, records that were refused.

So a job whose checkpoint was lost reads its source from the beginning, and adds what the archive has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.spark.identity import Known
from citywatch.engine.spark.kept import Kept
from citywatch.stores.archive.manifest import Archive, File
from citywatch.stores.archive.reading import scan

_ROWS = 1_000_000
_MEMORY = "1GB"
_KNOWN = "ident_hi, ident_lo, fingerprint, received_at"


@dataclass(frozen=True)
class Learned:
    """What a shard goes on from: how many of its numbers are given, the last line of a source that was refused."""

    events: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


def learn(archive: Archive, known: Known, kept: Kept, shard: tuple[int, int]) -> Learned:
    """Let `known` know the archive's events of a shard (number, of how many)."""
    manifest, (number, shards) = archive.manifest(), shard
    events, rejected = _all(manifest.events), _all(manifest.rejected)
    with _reading(archive) as con:
        refused = f"SELECT source, max(line) FROM {scan(archive, rejected)} GROUP BY 1"
        lines = dict(con.execute(refused).fetchall()) if rejected else {}
        if not events:
            return Learned(0, lines)
        query = f"SELECT {_KNOWN} FROM {scan(archive, events)} WHERE ident_hi % {shards} = {number}"
        for batch in con.sql(query).to_arrow_reader(_ROWS):
            known.add(pa.Table.from_batches([batch]), kept)
        ((last,),) = con.execute(f"SELECT max(seq) FROM {scan(archive, events)}").fetchall()
    return Learned(int(last) // shards + 1, lines)


def not_kept(archive: Archive, refused: pa.Table, lines: Mapping[str, int]) -> pa.Table:
    """Refused records (`rejected_schema`) without those that the archive has, which end at these lines of sources."""
    places: Any = zip(refused["source"].to_pylist(), refused["line"].to_pylist(), strict=True)
    if not any(line <= lines.get(source, -1) for source, line in places):
        return refused
    with _reading(archive) as con:
        query = f"SELECT id FROM {scan(archive, _all(archive.manifest().rejected))}"
        known = con.sql(query).to_arrow_table()
    return refused.join(known, "id", join_type="left anti").select(refused.column_names)


def _all(parts: Mapping[str, tuple[File, ...]]) -> list[File]:
    return [file for files in parts.values() for file in files]


@contextmanager
def _reading(archive: Archive) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY}) as con:
        con.execute("SET TimeZone = 'UTC'")
        archive.files.attach(con)
        yield con
