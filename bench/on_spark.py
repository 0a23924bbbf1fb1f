"""What the benches of Spark share: a broker, a topic with a city in it, a session, and how fast batches go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from bench import generate, paced
from bench.measure import ROOT, cached, cores, fresh
from citywatch.engine.spark.job import session as started
from deploy.servers.jars import jars
from deploy.servers.kafka_server import Kafka

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

EVENTS = 100_000
BATCH = EVENTS // 5
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


def city(servers: str, scratch: Path) -> str:
    """A topic with two partitions that holds `EVENTS` events, by device."""
    file = cached(
        scratch / f"city-{EVENTS}.ndjson",
        lambda path: generate.events(path, first=0, count=EVENTS, measured_from=EVENTS),
    )
    paced.made(servers, "city", 2)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 2 * EVENTS})
    for line in file.read_bytes().splitlines():
        producer.produce("city", line, key=json.loads(line)["source"])
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("Kafka does not take the events of the bench")
    return "city"


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


def values(spark: SparkSession, servers: str, topic: str) -> DataFrame:
    """The messages of a topic as Spark itself reads them."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", topic)
    return reader.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", BATCH).load()


def rate(start: Callable[[], StreamingQuery]) -> float:
    """Messages a second over all whole batches but the first, in which everything is loaded."""
    query = start()
    query.awaitTermination()
    batches = [json.loads(progress.json) for progress in query.recentProgress][1:]
    batches = [batch for batch in batches if batch["numInputRows"] > BATCH / 2]
    seconds = sum(batch["durationMs"]["triggerExecution"] for batch in batches) / 1000
    return float(sum(batch["numInputRows"] for batch in batches) / seconds)
