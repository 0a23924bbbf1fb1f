"""`citywatch spark archive`: every message of a topic to HDFS, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from citywatch.cli.log import say
from citywatch.cli.options import data_option
from citywatch.cli.spark_reporting import following, growing, metrics, metrics_option
from citywatch.cli.spark_session import (
    Input,
    Running,
    conf_option,
    given_properties,
    master_option,
    recipe,
    require_spark,
    spark_session,
    stream_options,
)

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.engine.spark.archiving import Filed
    from citywatch.stores.archive.manifest import Archive
    from citywatch.stores.desk import Desk

_LAST = ("read", "events", "duplicates", "rejected", "late")


@click.command()
@click.option(
    "--from", "source", required=True, metavar="SOURCE", help="kafka://host/TOPIC, or a directory of .ndjson."
)
@click.option(
    "--to", "target", required=True, metavar="ADDRESS", help="hdfs://namenode:8020/directory, or a directory."
)
@data_option
@click.option("--checkpoint", help="Where the job keeps its state, also hdfs://…  [default: spark/archive in --data]")
@click.option("--shards", default=1, show_default=True, help="Parts that write; belongs to the checkpoint.")
@click.option("--anew", is_flag=True, help="The checkpoint of the archive is lost: go on with another one.")
@metrics_option
@stream_options
@click.option("--every", default="1 minute", show_default=True, help="Time between the beginnings of two batches.")
@master_option
@conf_option
def archive(
    *,
    source: str,
    target: str,
    data: Path,
    checkpoint: str | None,
    shards: int,
    anew: bool,
    metrics_port: int | None,
    mapping: str | None,
    once: bool,
    at_once: int | None,
    every: str,
    master: str | None,
    settings: tuple[str, ...],
) -> None:
    """Keep every message of a source, its bytes included: Parquet by day and type, each event once.

    Settings, mappings and devices are those of the data directory; the alerts on its desk go along. Records that cannot
    be read are kept with the reason.
    """
    require_spark()
    from citywatch.cli.hosting import Host
    from citywatch.engine.spark.archiving import ArchiveJob
    from citywatch.engine.spark.checkpoint import claim, goes_on
    from citywatch.engine.spark.progress import Progress
    from citywatch.stores.archive.manifest import Archive

    given, host, kept = Input(source, mapping), Host(data, mapping=mapping), Archive(_absolute(target))
    properties = given_properties(settings, kafka=given.topics is not None)
    place = checkpoint or str((data / "spark" / "archive").absolute())
    host.directory.prepare(host.settings)
    totals: Counter[str] = Counter()
    progress = Progress(source)
    with ExitStack() as stack:
        desk = _desk(host, stack)
        session = stack.enter_context(spark_session(master, properties))
        claim(session, place, shards, host.settings)
        goes_on(session, place, source, given.topics.topics if given.topics else ())
        job = ArchiveJob(
            host.settings, recipe(host), kept.address, place, shards, given.mappings, once=once, every=every
        )
        records, take = given.records(session, at_once), _taking(kept, host, desk, anew=anew)

        def taken(filed: Filed) -> None:
            take(filed)
            totals.update(filed.counts)
            progress.count(filed.counts)

        stack.enter_context(metrics(progress, metrics_port))
        stack.enter_context(growing(progress, given.topics))
        running = Running(lambda: job.start(records, taken))
        say(f"archiving {source} to {target}; state in {place}")
        with following(running, progress):
            running.wait()
    totals["read"] = totals["events"] + totals["duplicates"] + totals["rejected"]
    click.echo(json.dumps({name: totals[name] for name in _LAST}))


def _absolute(target: str) -> str:
    """Workers do not stand where this stands."""
    return target if "://" in target else str(Path(target).absolute())


def _desk(host: Host, stack: ExitStack) -> Desk | None:
    """The desk of the data directory, to read its alerts; None where nothing was detected there."""
    from citywatch.stores.desk import Desk

    if not host.directory.desk.exists():
        return None
    return stack.enter_context(Desk(host.directory.desk, create=False))


def _taking(archive: Archive, host: Host, desk: Desk | None, *, anew: bool) -> Callable[[Filed], None]:
    from citywatch.stores.archive.received import Received, take_over

    people = host.directory.path / "population.csv"

    def take(filed: Filed) -> None:
        population = people.read_text("utf-8") if people.exists() else None
        received = Received(filed.job, filed.number, filed.written, host.directory.stored(), population, anew)
        take_over(archive, received, desk)

    return take
