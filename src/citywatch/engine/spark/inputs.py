"""Where a job reads: each gives a streaming frame of `reading.INPUT`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame, SparkSession

from citywatch.engine.spark.reading import FILES

_BINARY = "path string, modificationTime timestamp, length long, content binary"


def files(spark: SparkSession, directory: str, at_once: int = 1) -> DataFrame:
    """NDJSON files that appear in a directory, whole, in order of modification; `at_once` of them a batch."""
    reader = spark.readStream.format("binaryFile").schema(_BINARY).option("maxFilesPerTrigger", at_once)
    found = reader.option("pathGlobFilter", "*.ndjson").load(directory)
    return found.selectExpr(
        f"'{FILES}' AS feed",
        "unix_micros(modificationTime) AS place",
        "unix_micros(modificationTime) AS arrived",
        "path AS name",
        "content AS raw",
    )


def kafka(
    spark: SparkSession, servers: str, topics: Sequence[str], *, at_once: int, start: str, options: Mapping[str, str]
) -> DataFrame:
    """Topics of Kafka; at most `at_once` messages a batch. `options` are the consumer's, without `kafka.`."""
    reader = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", servers)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", start)
        .option("maxOffsetsPerTrigger", at_once)
        .option("failOnDataLoss", "true")
    )
    for name, value in options.items():
        reader = reader.option(f"kafka.{name}", value)
    return reader.load().selectExpr(
        "concat(topic, '/', CAST(partition AS STRING)) AS feed",
        "offset AS place",
        "unix_micros(timestamp) AS arrived",
        "concat(topic, '/', CAST(partition AS STRING)) AS name",
        "value AS raw",
    )


def with_real_time(records: DataFrame, every_s: int = 1, *, stands: bool = False) -> DataFrame:
    """The same, and real time: batches come, and the clock moves, also when nothing arrives.

    Where it `stands` it is there and says nothing: a checkpoint holds as many sources whether a run has an end or not.
    """
    # Ticks have no end of their own: without this, what there is would be one batch, however much it is.
    records.sparkSession.conf.set("spark.sql.streaming.triggerAvailableNowWrapper.enabled", "true")
    ticks = records.sparkSession.readStream.format("rate").option("rowsPerSecond", 1).option("numPartitions", 1).load()
    told = ticks.selectExpr(
        "'' AS feed", "value AS place", "unix_micros(timestamp) AS arrived", "'' AS name", "CAST(NULL AS BINARY) AS raw"
    )
    return records.unionByName(told.where("place < 0" if stands else f"place % {every_s} = 0"))
