"""What the benches of Spark share: a broker, a topic with a city in it, a session, and how fast batches go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import generate, paced
from bench.measure import ROOT, cached, cores, fresh
from citywatch.cli.hosting import Host
from citywatch.engine.spark.inputs import kafka
from citywatch.engine.spark.job import Job
from citywatch.engine.spark.job import session as started
from citywatch.engine.spark.telling import DeskTold
from citywatch.mappings.recipe import ParserRecipe
from citywatch.stores.desk import Desk
from deploy.servers.jars import jars
from deploy.servers.kafka_server import Kafka

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

    Start = Callable[[], StreamingQuery]

EVENTS = 100_000
BATCH = EVENTS // 5
CITY = "city"
RULES = ROOT / "bench" / "rules"


def properties() -> dict[str, str]:
    """Of Spark: small, quiet, on loopback, with the connector for Kafka."""
    return {
        "spark.jars": ",".join(str(jar) for jar in sorted(jars("spark").glob("*.jar"))),
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
    }


@contextmanager
def broker(scratch: Path) -> Iterator[str]:
    """`host:port` of a Kafka of this bench's own."""
    with Kafka(fresh(scratch / "kafka")) as server:
        yield server.address


def city(servers: str, scratch: Path) -> None:
    """The topic `CITY`: two partitions that hold `EVENTS` events, by device."""
    file = cached(
        scratch / f"city-{EVENTS}.ndjson",
        lambda path: generate.events(path, first=0, count=EVENTS, measured_from=EVENTS),
    )
    paced.made(servers, CITY, 2)
    paced.filled(servers, CITY, file, EVENTS)


@contextmanager
def session(scratch: Path, tasks: int | None = None) -> Iterator[SparkSession]:
    """Spark in this process, with as many tasks at a time as there are cores, or as are given."""
    tasks = tasks or cores()
    os.environ.update({"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable})
    os.environ["SPARK_LOCAL_DIRS"] = str(fresh(scratch / "spark"))
    spark = started(f"local[{tasks}]", {**properties(), "spark.sql.shuffle.partitions": str(tasks)})
    spark.sparkContext.setLogLevel("OFF")
    try:
        yield spark
    finally:
        spark.stop()


def values(spark: SparkSession, servers: str) -> DataFrame:
    """The messages of that topic as Spark itself reads them."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", CITY)
    return reader.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", BATCH).load()


def job(spark: SparkSession, servers: str, data: Path, rules: str, shards: int) -> Start:
    """`spark detect` over that topic to its end, with rules of `RULES`, in an empty data directory."""
    host = Host(fresh(data), [RULES / rules])
    host.directory.prepare(host.settings)
    recipe = ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)
    made = Job(host.ruleset, host.settings, recipe, str(data / "checkpoint"), shards, once=True)
    records = kafka(spark, servers, [CITY], at_once=BATCH, start="earliest", options={})
    return lambda: made.start(records, DeskTold(Desk(host.directory.desk)))


def rate(start: Start) -> float:
    """Messages a second over all whole batches but the first, in which everything is loaded."""
    query = start()
    query.awaitTermination()
    batches = [json.loads(progress.json) for progress in query.recentProgress][1:]
    batches = [batch for batch in batches if batch["numInputRows"] > BATCH / 2]
    seconds = sum(batch["durationMs"]["triggerExecution"] for batch in batches) / 1000
    return float(sum(batch["numInputRows"] for batch in batches) / seconds)
