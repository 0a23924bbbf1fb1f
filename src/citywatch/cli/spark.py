"""`citywatch spark`: the jobs of a cluster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from citywatch.cli.log import say
from citywatch.cli.options import data_option
from citywatch.cli.refusals import rejected_option, telling_rejected
from citywatch.cli.run import rules_option
from citywatch.cli.spark_archive import archive
from citywatch.cli.spark_report import report
from citywatch.cli.spark_reporting import growing, metrics, metrics_option, reporting
from citywatch.cli.spark_session import (
    KAFKA,
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
from citywatch.cli.stores import store_option, storing
from citywatch.errors import CitywatchError, StoreError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from citywatch.cli.hosting import Host
    from citywatch.connections.kafka.address import Address
    from citywatch.engine.spark.conditions import Past
    from citywatch.engine.spark.job import Job
    from citywatch.engine.spark.told import Told
    from citywatch.stores.desk import Desk

    Tell = Callable[[Told], None]

_LAST = ("read", "events", "duplicates", "rejected", "late", "alerts")


@click.group()
def spark() -> None:
    """Jobs on Spark, for more than one machine can do."""


spark.add_command(archive)
spark.add_command(report)


@spark.command()
@click.argument("source")
@data_option
@rules_option
@click.option("--checkpoint", help="Where the job keeps its state, also hdfs://…  [default: spark/detect in --data]")
@click.option("--shards", default=1, show_default=True, help="Parts of the state; belongs to the checkpoint.")
@click.option("--to", "targets", multiple=True, metavar="TARGET", help="Also tell a directory, or kafka://host/TOPIC.")
@store_option
@rejected_option
@metrics_option
@stream_options
@click.option("--every", default="1 second", show_default=True, help="Time between the beginnings of two batches.")
@master_option
@conf_option
def detect(
    *,
    source: str,
    data: Path,
    rules: tuple[Path, ...],
    checkpoint: str | None,
    shards: int,
    targets: tuple[str, ...],
    store: str | None,
    rejected_to: str | None,
    metrics_port: int | None,
    mapping: str | None,
    once: bool,
    at_once: int | None,
    every: str,
    master: str | None,
    settings: tuple[str, ...],
) -> None:
    """Apply the rules to SOURCE on Spark: a directory of .ndjson files, or kafka://host/TOPIC.

    Settings, rules, mappings and devices are those of the data directory, and what is found stands on its desk.
    """
    require_spark()
    from citywatch.cli.hosting import Host
    from citywatch.engine.spark.standing import Standing
    from citywatch.engine.spark.telling import DeskTold

    given = Input(source, mapping)
    properties = given_properties(settings, kafka=given.topics is not None)
    host = Host(data, rules, {}, mapping)
    place = checkpoint or str((data / "spark" / "detect").absolute())
    with ExitStack() as stack:
        desk = stack.enter_context(_desk(host))
        tells: list[Tell] = [DeskTold(desk), *(stack.enter_context(_teller(target)) for target in targets)]
        session = stack.enter_context(spark_session(master, properties))
        job = _job(session, host, given, Cut(place, shards), once=once, every=every)
        totals: Counter[str] = Counter()
        born = _born(desk)
        standing = Standing(source, desk.status().get("engine") or {})
        records = given.records(session, at_once)
        relaying = stack.enter_context(storing(host, store))
        refusals = stack.enter_context(telling_rejected(host, rejected_to))
        stack.enter_context(metrics(standing, metrics_port, relaying))
        records, tell = _timed(session, records, place, once=once), _telling([*tells, standing.hear], totals)
        stack.enter_context(growing(standing, given.topics))
        running = Running(lambda: job.start(records, tell))
        say(f"detecting in {source}; state in {place}")
        with reporting(host.directory, running, standing):
            running.wait()
        totals["alerts"] = _born(desk) - born
        for beside in (relaying, refusals):
            if beside is not None:
                beside.drain()
    totals["read"] = totals["events"] + totals["duplicates"] + totals["rejected"]
    click.echo(json.dumps({name: totals[name] for name in _LAST}))


class Cut(NamedTuple):
    """A checkpoint, and the parts of its state."""

    place: str
    shards: int


def _job(session: SparkSession, host: Host, given: Input, cut: Cut, *, once: bool, every: str) -> Job:
    """The job over a checkpoint that is its own. Raises SettingError, StoreError."""
    from citywatch.engine.spark.checkpoint import claim, goes_on
    from citywatch.engine.spark.job import Job

    claim(session, *cut, host.settings)
    goes_on(session, cut.place, given.source, given.topics.topics if given.topics else ())
    past = _past(session, cut.place, given)
    kept = (*cut, given.mappings)
    return Job(host.ruleset, host.settings, recipe(host), *kept, once=once, every=every, past=past)


def _timed(session: SparkSession, records: DataFrame, checkpoint: str, *, once: bool) -> DataFrame:
    """The records with real time; without, where the checkpoint has none. Raises StoreError."""
    from citywatch.engine.spark.checkpoint import has_real_time
    from citywatch.engine.spark.inputs import with_real_time

    if has_real_time(session, checkpoint):
        return with_real_time(records, stands=once)
    if once:
        return records
    raise StoreError(
        f"the checkpoint {checkpoint} was made by `spark detect --once` of an earlier version, which kept no real time",
        hint="go on with --once, or begin another checkpoint with --checkpoint",
    )


@contextmanager
def _desk(host: Host) -> Iterator[Desk]:
    """The desk of the data directory, which nobody else writes facts to meanwhile."""
    from citywatch.stores.desk import Desk

    with host.directory.locked():
        host.directory.prepare(host.settings)
        with Desk(host.directory.desk, live=host.settings.live) as desk:
            yield desk


def _born(desk: Desk) -> int:
    return sum(count for *_, count in desk.tallies())


@contextmanager
def _teller(target: str) -> Iterator[Tell]:
    """Who is told beside the desk."""
    from citywatch.engine.spark.telling import FilesTold

    if target.startswith(KAFKA):
        from citywatch.connections.kafka.address import ALERTS, parse
        from citywatch.connections.kafka.configuration import require

        require()
        from citywatch.engine.spark.topic import TopicTold

        with TopicTold(parse(target, ("config",), ALERTS)) as topic:
            yield topic
    elif "://" in target:
        raise UsageError(f"cannot tell {target!r}", hint="write a directory, or kafka://host/TOPIC")
    else:
        yield FilesTold(Path(target))


def _telling(tells: Sequence[Tell], totals: Counter[str]) -> Tell:
    def tell(told: Told) -> None:
        for each in tells:
            each(told)
        totals.update(told.counts)

    return tell


def _past(session: SparkSession, checkpoint: str, given: Input) -> Past | None:
    """What rules can read that are new to the checkpoint; None where it is new itself, or nothing can be read."""
    if given.topics is None:
        return _past_of_files(session, checkpoint, given)
    return _past_of_topics(session, checkpoint, given.topics, given.mappings)


def _past_of_files(session: SparkSession, checkpoint: str, given: Input) -> Past | None:
    from citywatch.engine.spark.checkpoint import files_read, there
    from citywatch.engine.spark.past import FilesPast
    from citywatch.engine.spark.reading import FILES
    from citywatch.stores.archive.files import files_at

    read = files_read(session, checkpoint)
    if not read:
        return None
    try:
        files_at(read[0][0].removeprefix("file:"))
    except CitywatchError as error:
        say(f"rules that are new do not know what came before: {error}")
        return None
    left = [(name, changed) for name, changed in read if there(session, name)]
    return FilesPast(left, len(left) == len(read), given.mappings.get(FILES))


def _past_of_topics(
    session: SparkSession, checkpoint: str, address: Address, mappings: Mapping[str, str]
) -> Past | None:
    from citywatch.connections.kafka.configuration import properties, require
    from citywatch.engine.spark.checkpoint import reached

    ends = reached(session, checkpoint, address.topics)
    if not ends:
        return None
    require()
    from citywatch.engine.spark.past import TopicsPast

    given = {n: v for n, v in properties(address.configuration).items() if not n.startswith("java.")}
    return TopicsPast(address.servers, given, ends, mappings)
