"""What the jobs on Spark have in common: a session, where they read, and how they end."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.log import say
from citywatch.errors import JobError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

    from citywatch.cli.hosting import Host
    from citywatch.engine.spark.conditions import MakeParser

KAFKA = "kafka://"
_MESSAGES = 100_000
STARTS = 12
"""So often in a row a job is begun whose Python was too slow for Spark."""

_LOOK_S = 0.2
_ONE_SIGNAL_S = 1.0
_TOO_SLOW = "failed to connect back"
_CONNECTOR = {"spark.jars", "spark.jars.packages"}
_ERROR = re.compile(r"[A-Za-z_.]+(Error|Exception): ")

master_option = click.option("--master", help="Spark's master, such as local[2] or yarn.  [default: as configured]")
conf_option = click.option("--conf", "settings", multiple=True, metavar="NAME=VALUE", help="A property of Spark.")


def stream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a job reads its source."""
    options = (
        click.option("--mapping", help="Mapping for all records; else each is recognised by its fields."),
        click.option("--once", is_flag=True, help="Read what there is, then end."),
        click.option(
            "--at-once",
            type=click.IntRange(1),
            help="At most so many files (default 1) or messages (100,000) a batch.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def require_spark() -> None:
    """Raise MissingPackageError where there is no PySpark."""
    import importlib.util

    if importlib.util.find_spec("pyspark") is None:
        raise MissingPackageError("PySpark is not installed", hint="pip install 'citywatch[spark]'; it needs Java 17")


def given_properties(given: Sequence[str], *, kafka: bool = False) -> dict[str, str]:
    """What `--conf` sets, and where Spark gets its connector for Kafka. Raises UsageError."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise UsageError(f"--conf {wrong[0]!r} sets nothing", hint="write --conf spark.driver.memory=2g")
    found = {name: value for name, _, value in pairs}
    return found if not kafka or _CONNECTOR & found.keys() else {**found, **_connector()}


def _connector() -> dict[str, str]:
    """Where Spark gets its connector for Kafka, where --conf names no jars."""
    import pyspark

    return {"spark.jars.packages": f"org.apache.spark:spark-sql-kafka-0-10_2.13:{pyspark.__version__}"}


@contextmanager
def spark_session(master: str | None, properties: Mapping[str, str]) -> Iterator[SparkSession]:
    """A session for a while; one that this process has already is used, and stays."""
    from pyspark.sql import SparkSession

    from citywatch.engine.spark.job import session

    others = SparkSession.getActiveSession() is not None
    spark = session(master, properties)
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        if not others:
            _end(spark)


def _end(spark: SparkSession) -> None:
    """Stop it; its Java may be gone by now."""
    from py4j.protocol import Py4JError

    with suppress(Py4JError, OSError):
        spark.stop()


def recipe(host: Host) -> MakeParser:
    """How workers make a parser."""
    from citywatch.mappings.recipe import ParserRecipe

    return ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)


class Input:
    """Where a job reads: topics of Kafka, or a directory. Raises UsageError.

    Attributes
    ----------
    topics
        Address of the topics; None for a directory.
    mappings
        What the records of a topic, or of the directory, are taken for.
    source
        As it was given.
    """

    def __init__(self, source: str, mapping: str | None) -> None:
        from citywatch.connections.kafka.address import parse
        from citywatch.engine.spark.reading import FILES

        self.topics = parse(source, ("mapping", "from", "config")) if source.startswith(KAFKA) else None
        names = self.topics.topics if self.topics else (FILES,)
        self.mappings = {name: mapping for name in names if mapping} | dict(self.topics.mappings if self.topics else {})
        self.source = source

    def records(self, session: SparkSession, at_once: int | None) -> DataFrame:
        """The records as a stream (`reading.INPUT`)."""
        return self._of_topics(session, at_once) if self.topics else self._of_files(session, at_once)

    def _of_files(self, session: SparkSession, at_once: int | None) -> DataFrame:
        from citywatch.engine.spark.inputs import files

        if "://" not in self.source and not Path(self.source).is_dir():
            hint = "name one that .ndjson files come to, or kafka://host/TOPIC"
            raise UsageError(f"{self.source} is no directory", hint=hint)
        return files(session, self.source, at_once or 1)

    def _of_topics(self, session: SparkSession, at_once: int | None) -> DataFrame:
        from citywatch.connections.kafka.address import LATEST
        from citywatch.connections.kafka.configuration import properties
        from citywatch.connections.kafka.java import java_properties
        from citywatch.engine.spark.inputs import kafka

        if (address := self.topics) is None:
            raise TypeError("there are no topics")
        options = java_properties(properties(address.configuration))
        start = "latest" if address.start == LATEST else "earliest"
        read = partial(kafka, session, address.servers, address.topics)
        return read(at_once=at_once or _MESSAGES, start=start, options=options)


class Running:
    """A job that runs: `query` is the present one.

    Spark gives a Python of its driver ten seconds to begin, whatever is set. Where a busy machine takes longer the
    query ends, before it has done anything, and is started again.
    """

    def __init__(self, start: Callable[[], StreamingQuery]) -> None:
        self._start = start
        self._left = STARTS
        self.query = start()

    def wait(self) -> None:
        """Until it ends, or somebody ends it: SIGINT, SIGTERM. Raises JobError."""
        with _ending() as asked:
            while not self._ended(asked):
                say("Spark did not wait for one of its processes: starting again")
                self.query = self._start()

    def _ended(self, asked: threading.Event) -> bool:
        """Wait; whether that was the end."""
        from py4j.protocol import Py4JError
        from pyspark.errors import StreamingQueryException

        try:
            while not self.query.awaitTermination(_LOOK_S):
                if asked.is_set():
                    say("stopping")
                    _quietly(self.query.stop)
                    return True  # not asked again: it may call the batch that was cut off a failure
        except (Py4JError, OSError) as error:
            if asked.is_set():  # who ends all processes of a job at once ends Java as well
                return True
            raise JobError("Java has ended", hint="what was committed is safe: start it again") from error
        except StreamingQueryException as error:
            if asked.is_set():
                return True
            self._left = STARTS if self.query.lastProgress else self._left - 1
            if _TOO_SLOW in str(error) and self._left:
                return False
            raise JobError(_cause(str(error)), hint="what was committed is safe: start it again") from error
        return True


def _quietly(stop: Callable[[], None]) -> None:
    """Cut a batch off: that it fails is no news, and Spark would say so with hundreds of lines."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.sparkContext.setLogLevel("OFF")
    stop()


@contextmanager
def _ending() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; one that comes later ends the process as it would have before.

    Who signals a process and its group at once, as `timeout` does, means one signal.
    An exception in the middle of a word with Java would end that conversation, and sometimes the next one. Java, which
    may have the same signal, answers nobody from then on: no thread need say so.
    """
    asked, last = threading.Event(), 0.0
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: object) -> None:
        nonlocal last
        if not asked.is_set():
            asked.set()
            logging.getLogger("py4j").setLevel(logging.CRITICAL)
            last = time.monotonic()
        elif time.monotonic() - last > _ONE_SIGNAL_S:
            restore()
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


def _cause(text: str) -> str:
    """The last line of the innermost Python error, else the first of Spark's."""
    named = [line.strip() for line in text.splitlines() if _ERROR.match(line.strip())]
    return f"the job ended: {named[-1] if named else text.splitlines()[0]}"
