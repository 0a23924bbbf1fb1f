"""What `compact` and `retention apply` do beside data directories: in archives, and on a desk on PostgreSQL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from citywatch.errors import UsageError

_MIB = 1 << 20


def compact_archive(address: str) -> None:
    """Merge the small files of each day and type, and remove what was replaced or is no use."""
    from citywatch.stores.archive.merging import merge

    archive = _archive(address)
    before = archive.require().files()
    merge(archive, 2)
    archive.clean()
    after = archive.manifest().files()
    sizes = [sum(file.bytes for file in files) / _MIB for files in (before, after)]
    click.echo(f"{len(before):,} files of {sizes[0]:,.1f} MiB are now {len(after):,} of {sizes[1]:,.1f} MiB", err=True)


def expire_archive(address: str, keeps: tuple[str, ...], *, dry_run: bool) -> dict[str, Any]:
    """Take out the days that are older than `keeps` say; kind of data -> how many, events by type."""
    from citywatch.stores.archive.expiry import expire, keep

    if not keeps:
        raise UsageError("an archive keeps everything until --keep says otherwise", hint="write --keep '*=1095d'")
    archive = _archive(address)
    archive.require()
    removed = expire(archive, keep(keeps), _now(), dry_run=dry_run)
    if not dry_run:
        archive.clean()
    return removed


def expire_desk(database: str, data: Path, *, dry_run: bool) -> dict[str, Any]:
    """Remove old alerts, rejected records and audit from a desk on PostgreSQL; kind of data -> how many."""
    from citywatch.stores import open_store
    from citywatch.stores.directory import DataDirectory

    kept = DataDirectory(data).settings().retention
    with open_store("desk", database) as desk:
        removed: dict[str, Any] = desk.expire(kept, _now(), dry_run=dry_run)
        return removed


def _archive(address: str) -> Any:
    from citywatch.stores.archive.manifest import Archive

    return Archive(address)


def _now() -> int:
    return time.time_ns() // 1000
