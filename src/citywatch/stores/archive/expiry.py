"""Days of an archive that are older than they are to be kept: their files go when nobody reads them any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa

from citywatch.alert import State
from citywatch.errors import UsageError
from citywatch.settings import Retention
from citywatch.stores.archive.manifest import Archive, File, Manifest
from citywatch.stores.archive.reading import Reader, scan
from citywatch.stores.archive.writing import RAW, stored_schema, write_files
from citywatch.stores.log import parquet_options

_NEEDED = f"""
SELECT DISTINCT event->>'source' AS source, event->>'id' AS id
FROM (SELECT unnest(CAST(alert->'evidence' AS JSON[])) AS event FROM (SELECT CAST(line AS JSON) AS alert FROM lines)
      WHERE alert->>'state' <> '{State.CLOSED}')"""


def expire(archive: Archive, retention: Retention, now: int, *, dry_run: bool = False) -> dict[str, Any]:
    """Take out whole days of a type when their youngest event is too old; says how many, events by type.

    Events that an alert rests on which is not closed stay. `now`: µs UTC. Rejected records go where they came from a
    job; those of a data directory, and alerts, follow the retention of that. Raises StoreError.
    """
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        reader = Reader(archive, con)
        con.register("lines", reader.alerts())
        con.register("needed", con.sql(_NEEDED).to_arrow_table())
        gone: Counter[str] = Counter()
        for part in _old_parts(reader.manifest, retention, now):
            gone[_type_of(part)] += _expire_part(archive, con, part, dry_run=dry_run)
    rejected = _expire_rejected(archive, retention.rejected, now, dry_run=dry_run)
    return {"events": dict(sorted((+gone).items())), "rejected": rejected}


def _old_parts(manifest: Manifest, retention: Retention, now: int) -> Iterator[str]:
    spans: dict[str, int | None] = {}
    for part in sorted(manifest.events):
        kind = _type_of(part)
        if kind not in spans:
            spans[kind] = retention.span(kind)
        span = spans[kind]
        if span is not None and _over(part.partition("/")[0].removeprefix("day="), span, now):
            yield part


def _type_of(part: str) -> str:
    return unquote(part.partition("/type=")[2])


def _over(day: str, span: int, now: int) -> bool:
    """Whether all of a day (UTC) is further back than the span (µs)."""
    end = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC)
    return int(end.timestamp()) * 1_000_000 + span <= now


def _expire_part(archive: Archive, con: duckdb.DuckDBPyConnection, part: str, *, dry_run: bool) -> int:
    """Leave of a part what is needed; returns how many events are taken out."""
    files = archive.manifest().events.get(part, ())
    kept = con.sql(f"FROM {scan(archive, files)} SEMI JOIN needed USING (source, id)").to_arrow_table()
    removed = sum(file.rows for file in files) - len(kept)
    if dry_run or not removed:
        return removed
    left = tuple(write_files(archive, f"events/{part}", [_stored(kept)], parquet_options("zstd", kept=True)))

    def without(manifest: Manifest) -> tuple[Manifest, list[File]] | None:
        if manifest.events.get(part, ()) != files:
            return None
        others = {name: found for name, found in manifest.events.items() if name != part}
        return archive.forget_replaced(replace(manifest, events=others | ({part: left} if left else {}))), list(files)

    return removed if archive.change(without) is not None else 0


def _stored(table: pa.Table) -> pa.Table:
    return table.cast(stored_schema(raw=RAW in table.column_names))


def _expire_rejected(archive: Archive, span: int | None, now: int, *, dry_run: bool) -> int:
    def old(manifest: Manifest) -> Mapping[str, tuple[File, ...]]:
        from_job = manifest.batch >= 0 and span is not None
        return {day: files for day, files in manifest.rejected.items() if from_job and _over(day, span or 0, now)}

    def without(manifest: Manifest) -> tuple[Manifest, list[File]] | None:
        gone = old(manifest)
        left = {day: files for day, files in manifest.rejected.items() if day not in gone}
        removed = [file for files in gone.values() for file in files]
        return (archive.forget_replaced(replace(manifest, rejected=left)), removed) if gone else None

    count = sum(file.rows for files in old(archive.manifest()).values() for file in files)
    if not dry_run:
        archive.change(without)
    return count


def keep(words: tuple[str, ...]) -> Retention:
    """The retention of `WHAT=SPAN` words: a type of event, `drone.*`, `*`, or `rejected`. Raises UsageError."""
    pairs = [word.partition("=") for word in words]
    events = {name: span for name, _, span in pairs if name != "rejected"}
    others = {name: span for name, _, span in pairs if name == "rejected"}
    try:
        return Retention.of({**others, **({"events": events} if events else {})})
    except (ValueError, TypeError) as error:
        raise UsageError(f"cannot keep {' '.join(words)}: {error}", hint="write --keep 'drone.*=90d'") from error
