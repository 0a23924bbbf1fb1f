"""The job: a streaming query from a source to those who are told."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from citywatch.engine.spark.conditions import Conditions, MakeParser, Past
from citywatch.engine.spark.kept import Run
from citywatch.engine.spark.message import SCHEMA
from citywatch.engine.spark.reading import Reading
from citywatch.engine.spark.stateful import Stateful
from citywatch.engine.spark.told import Told
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings

ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

CONFIGURATION: Mapping[str, str] = {
    "spark.sql.streaming.stateStore.providerClass": ROCKSDB,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.python.authenticate.socketTimeout": "60s",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.streaming.numRecentProgressUpdates": "100",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.streaming.forceDeleteTempCheckpointLocation": "false",
    # Where Hadoop has no native library, each file of a local checkpoint costs a process (chmod), and its checksum file
    # another: half of a commit. The state's log, compressed in blocks, has checksums of its own.
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
}
"""What the job needs of Spark."""


@dataclass(frozen=True)
class Job:
    """`citywatch spark detect`.

    Attributes
    ----------
    checkpoint
        Directory of Spark's, local or `hdfs://`; a job goes on from there.
    mappings
        What the records of a topic, or of the directory (`reading.FILES`), are taken for.
    once
        Read what there is, then end.
    every
        Shortest time between the beginnings of two batches, such as `1 second`.
    past
        What rules can read that are new to the checkpoint.
    """

    ruleset: Ruleset
    settings: Settings
    make_parser: MakeParser
    checkpoint: str
    shards: int = 1
    mappings: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    every: str = "1 second"
    past: Past | None = None

    def start(self, records: DataFrame, tell: Callable[[Told], None]) -> StreamingQuery:
        """Start the query over `records` (`reading.INPUT`); `tell` is called in the driver with each batch."""
        numbers = slots(records.sparkSession, self.shards)
        sealed = Conditions(self.ruleset, self.settings, self.make_parser, numbers, self.past).sealed()
        run = Run(self.checkpoint, uuid.uuid4().hex)
        read = records.mapInArrow(Reading(sealed, self.mappings), SCHEMA)
        new = stateful(read, Stateful("identities", sealed, run))
        said = stateful(new, Stateful("rules", sealed, run))

        def take(batch: DataFrame, number: int) -> None:
            tell(Told.of(number, batch.select("kind", "rows").toArrow()))

        return query("detect", said, take, checkpoint=self.checkpoint, every=None if self.once else self.every)


def query(
    name: str, said: DataFrame, take: Callable[[DataFrame, int], None], *, checkpoint: str, every: str | None
) -> StreamingQuery:
    """Begin a query that hands each batch to `take`, with its number. `every` as in `Job`; None: once."""
    writer = said.writeStream.foreachBatch(_briefly(take)).outputMode("append").queryName(f"citywatch {name}")
    writer = writer.option("checkpointLocation", checkpoint)
    return writer.trigger(**({"processingTime": every} if every else {"availableNow": True})).start()


def _briefly(take: Callable[[DataFrame, int], None]) -> Callable[[DataFrame, int], None]:
    """The same; of a batch that is cut off, Spark need not read a thousand lines of its own."""

    def taking(batch: DataFrame, number: int) -> None:
        try:
            take(batch, number)
        except Exception as error:
            if "SPARK_JOB_CANCELLED" in str(error) or "cancelled" in str(error):
                raise InterruptedError(f"batch {number} was cut off") from None
            raise

    return taking


def stateful(messages: DataFrame, stage: Stateful) -> DataFrame:
    """What a stage that keeps state says of messages."""
    return messages.groupBy("slot").transformWithStateInPandas(stage, SCHEMA, "append", "None")


def slots(spark: SparkSession, shards: int) -> tuple[int, ...]:
    """For each shard the smallest number that Spark puts into the partition of that number; so many it will make."""
    spark.conf.set("spark.sql.shuffle.partitions", str(shards))
    found: dict[int, int] = {}
    begin = 0
    while len(found) < shards:
        numbers = spark.range(begin, begin + 64 * shards).selectExpr("CAST(id AS INT) AS slot")
        rows = numbers.selectExpr("slot", f"pmod(hash(slot), {shards}) AS part").collect()
        for row in rows:
            found.setdefault(row["part"], row["slot"])
        begin += 64 * shards
    return tuple(found[part] for part in range(shards))


def session(master: str | None, more: Mapping[str, str]) -> SparkSession:
    """The Spark session of this process; its workers run the Python that runs this."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("citywatch")
    if master:
        builder = builder.master(master)
    for name, value in {**CONFIGURATION, **more}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
