"""`citywatch archive`: history on HDFS."""

from __future__ import annotations

from pathlib import Path

import click

from citywatch.cli.options import data_option


@click.command()
@data_option
@click.option("--to", "target", required=True, metavar="ADDRESS", help="hdfs://namenode:8020/directory of the archive.")
@click.option("--compact", is_flag=True, help="Also merge all small files of a day and type, and remove replaced ones.")
def archive(*, data: Path, target: str, compact: bool) -> None:
    """Take over to HDFS what is new in history: Parquet by day and type, each event once.

    An engine may run meanwhile; run it again as often as you like. Alerts and rejected records go along.
    """
    from citywatch.stores.archive.manifest import Archive
    from citywatch.stores.archive.merging import ENOUGH, merge
    from citywatch.stores.archive.publishing import publish
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

    directory, kept = DataDirectory(data).require(), Archive(target)
    with Desk(directory.desk, create=False) as desk:
        name = desk.directory_name()
    told = publish(directory, name, kept)
    fewer = merge(kept, 2 if compact else ENOUGH)
    kept.clean()
    files = kept.manifest().files()
    size = sum(file.bytes for file in files) / (1 << 20)
    click.echo(
        f"citywatch: {told.events:,} events are new in {target}; it has {len(files):,} files, {size:,.1f} MiB"
        f"{f', {fewer:,} fewer after merging' if fewer > 0 else ''}",
        err=True,
    )
