"""`citywatch spark`: the jobs of a cluster."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from citywatch.cli.log import say
from citywatch.cli.options import data_option
from citywatch.cli.run import rules_option
from citywatch.errors import JobError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

    from citywatch.cli.hosting import Host
    from citywatch.connections.kafka.address import Address
    from citywatch.engine.spark.conditions import MakeParser, Past
    from citywatch.engine.spark.told import Told
    from citywatch.stores.desk import Desk

    Tell = Callable[[Told], None]

_KAFKA = "kafka://"
_MESSAGES = 100_000
_CONNECTOR = {"spark.jars", "spark.jars.packages"}
_LAST = ("read", "events", "duplicates", "rejected", "late", "alerts")
_ERROR = re.compile(r"[A-Za-z_.]+(Error|Exception): ")


@click.group()
def spark() -> None:
    """Jobs on Spark, for more than one machine can do."""


@spark.command()
@click.argument("source")
@data_option
@rules_option
@click.option("--checkpoint", help="Where the job keeps its state, also hdfs://…  [default: spark/detect in --data]")
@click.option("--shards", default=1, show_default=True, help="Parts of the state; belongs to the checkpoint.")
@click.option("--to", "targets", multiple=True, metavar="TARGET", help="Also tell a directory, or kafka://host/TOPIC.")
@click.option("--mapping", help="Mapping for all records; else each is recognised by its fields.")
@click.option("--once", is_flag=True, help="Read what there is, then end.")
@click.option(
    "--at-once", type=click.IntRange(1), help="At most so many files (default 1) or messages (100,000) a batch."
)
@click.option("--every", default="1 second", show_default=True, help="Time between the beginnings of two batches.")
@click.option("--master", help="Spark's master, such as local[2] or yarn.  [default: as Spark is configured]")
@click.option("--conf", "settings", multiple=True, metavar="NAME=VALUE", help="A property of Spark.")
def detect(
    *,
    source: str,
    data: Path,
    rules: tuple[Path, ...],
    checkpoint: str | None,
    shards: int,
    targets: tuple[str, ...],
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
    _require_spark()
    from citywatch.cli.hosting import Host
    from citywatch.connections.kafka.address import parse
    from citywatch.engine.spark.checkpoint import claim
    from citywatch.engine.spark.inputs import with_real_time
    from citywatch.engine.spark.job import Job
    from citywatch.engine.spark.reading import FILES
    from citywatch.engine.spark.telling import DeskTold

    topics = parse(source, ("mapping", "from", "config")) if source.startswith(_KAFKA) else None
    properties = _properties(settings, kafka=topics is not None)
    host = Host(data, rules, {}, mapping)
    mappings = {name: mapping for name in (topics.topics if topics else (FILES,)) if mapping}
    if topics:
        mappings |= topics.mappings
    place = checkpoint or str((data / "spark" / "detect").absolute())
    with ExitStack() as stack:
        desk = stack.enter_context(_desk(host))
        tells: list[Tell] = [DeskTold(desk), *(stack.enter_context(_teller(target)) for target in targets)]
        session = stack.enter_context(_session(master, properties))
        claim(session, place, shards, host.settings)
        past = _past(session, place, topics, mappings) if topics else None
        job = Job(
            host.ruleset, host.settings, _recipe(host), place, shards, mappings, once=once, every=every, past=past
        )
        totals: Counter[str] = Counter()
        born = _born(desk)
        records = _topics(session, topics, at_once) if topics else _files(session, source, at_once)
        query = job.start(records if once else with_real_time(records), _telling(tells, totals))
        say(f"detecting in {source}; state in {place}")
        _wait(query)
        totals["alerts"] = _born(desk) - born
    totals["read"] = totals["events"] + totals["duplicates"] + totals["rejected"]
    click.echo(json.dumps({name: totals[name] for name in _LAST}))


def _require_spark() -> None:
    import importlib.util

    if importlib.util.find_spec("pyspark") is None:
        raise MissingPackageError("PySpark is not installed", hint="pip install 'citywatch[spark]'; it needs Java 17")


def _properties(given: Sequence[str], *, kafka: bool) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise UsageError(f"--conf {wrong[0]!r} sets nothing", hint="write --conf spark.driver.memory=2g")
    found = {name: value for name, _, value in pairs}
    return found if not kafka or _CONNECTOR & found.keys() else {**found, **_connector()}


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

    if target.startswith(_KAFKA):
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


@contextmanager
def _session(master: str | None, properties: Mapping[str, str]) -> Iterator[SparkSession]:
    from citywatch.engine.spark.job import session

    spark = session(master, properties)
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def _recipe(host: Host) -> MakeParser:
    from citywatch.mappings.recipe import ParserRecipe

    return ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)


def _files(session: SparkSession, source: str, at_once: int | None) -> DataFrame:
    from citywatch.engine.spark.inputs import files

    if "://" not in source and not Path(source).is_dir():
        raise UsageError(f"{source} is no directory", hint="name one that .ndjson files come to, or kafka://host/TOPIC")
    return files(session, source, at_once or 1)


def _topics(session: SparkSession, address: Address, at_once: int | None) -> DataFrame:
    from citywatch.connections.kafka.address import LATEST
    from citywatch.connections.kafka.configuration import properties
    from citywatch.connections.kafka.java import java_properties
    from citywatch.engine.spark.inputs import kafka

    options = java_properties(properties(address.configuration))
    start = "latest" if address.start == LATEST else "earliest"
    return kafka(session, address.servers, address.topics, at_once=at_once or _MESSAGES, start=start, options=options)


def _past(session: SparkSession, checkpoint: str, address: Address, mappings: Mapping[str, str]) -> Past | None:
    """What rules can read that are new to the checkpoint; None where it is new itself."""
    from citywatch.connections.kafka.configuration import properties, require
    from citywatch.engine.spark.checkpoint import reached

    ends = reached(session, checkpoint, address.topics)
    if not ends:
        return None
    require()
    from citywatch.engine.spark.past import TopicsPast

    given = {n: v for n, v in properties(address.configuration).items() if not n.startswith("java.")}
    return TopicsPast(address.servers, given, ends, mappings)


def _connector() -> dict[str, str]:
    """Where Spark gets its connector for Kafka, where --conf names no jars."""
    import pyspark

    return {"spark.jars.packages": f"org.apache.spark:spark-sql-kafka-0-10_2.13:{pyspark.__version__}"}


def _wait(query: StreamingQuery) -> None:
    """Until the query ends, or somebody interrupts."""
    from pyspark.errors import StreamingQueryException

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        query.awaitTermination()
    except KeyboardInterrupt:
        say("stopping")
        query.stop()
    except StreamingQueryException as error:
        raise JobError(_cause(str(error)), hint="what was committed is safe: start it again") from error


def _cause(text: str) -> str:
    """The last line of the innermost Python error, else the first of Spark's."""
    named = [line.strip() for line in text.splitlines() if _ERROR.match(line.strip())]
    return f"the job ended: {named[-1] if named else text.splitlines()[0]}"
