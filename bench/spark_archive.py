"""`citywatch spark archive`: messages of a topic to HDFS, read, recognised, written and counted, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import on_spark
from bench.measure import Line, cores, fresh, size
from citywatch.cli.hosting import Host
from citywatch.engine.spark.archiving import ArchiveJob, Filed
from citywatch.engine.spark.inputs import kafka
from citywatch.mappings.recipe import ParserRecipe
from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.merging import merge
from citywatch.stores.archive.received import Received, take_over
from deploy.servers.hdfs_server import Hdfs


def bench(scratch: Path) -> Iterator[Line]:
    """Rows a second, of all batches but the first, and what they need on HDFS."""
    host = Host(fresh(scratch / "archived"))
    host.directory.prepare(host.settings)
    recipe = ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)
    with on_spark.broker(scratch) as servers, Hdfs(fresh(scratch / "hdfs")) as hdfs, on_spark.session(scratch) as spark:
        archive = Archive(f"{hdfs.address}/bench")
        on_spark.city(servers, scratch)
        records = kafka(spark, servers, [on_spark.CITY], at_once=on_spark.BATCH, start="earliest", options={})
        place = str(fresh(scratch / "checkpoint"))
        job = ArchiveJob(host.settings, recipe, archive.address, place, cores(), once=True)

        def take(filed: Filed) -> None:
            take_over(archive, Received(filed.job, filed.number, filed.written, host.directory.stored()), None)

        rows = on_spark.rate(lambda: job.start(records, take))
        before = archive.manifest()
        if before.seq != on_spark.EVENTS:
            raise RuntimeError(f"{before.seq:,} events are in the archive")
        merge(archive, 2)
        after = archive.manifest().files()
    used, files = sum(file.bytes for file in after), f"{len(before.files()):,} files, {len(after):,} after merging"
    stored = f"{size(used)} with the bytes as they came, {used / on_spark.EVENTS:.0f} B each; {files}"
    yield Line(f"spark archive, {cores()} cores, to HDFS", f"{rows:,.0f} rows/s ({stored})")
