"""`spark detect` beside what Spark offers by itself, over the same topic, in one run on the same cores.

Correlations: against the same rules as Python state by key (`per_key_state`). Plain rules: against `from_json` and a
filter in Spark SQL, of which each event that a rule holds for comes out. Both of those recognise no copies,
and keep neither evidence nor what cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pyspark.sql.functions import col, from_json

from bench import per_key_state
from bench.measure import Line, cores, fresh
from bench.on_spark import BATCH, EVENTS, RULES, broker, city, rate, session, values
from citywatch.cli.hosting import Host
from citywatch.engine.spark.inputs import kafka
from citywatch.engine.spark.job import Job
from citywatch.engine.spark.telling import DeskTold
from citywatch.event import FIELDS
from citywatch.mappings.recipe import ParserRecipe
from citywatch.stores.desk import Desk

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

    Start = Callable[[], StreamingQuery]

_TYPES = {
    "VARCHAR": "string",
    "VARCHAR[]": "array<string>",
    "DOUBLE": "double",
    "SMALLINT": "smallint",
    "INTEGER": "int",
}
_IN_SPARK = {
    "list_contains(": "array_contains(",
    "data->>'note'": "note",
    "timeframe = 'night'": "local_hour < 6",
}
"""Words of predicates that Spark SQL has others for."""


def bench(scratch: Path) -> Iterator[Line]:
    """Rates without the first batch."""
    with broker(scratch) as servers, session(scratch) as spark:
        topic = city(servers, scratch)
        job = _job(spark, servers, topic, scratch, "spark")
        per_key = per_key_state.matches(_events(values(spark, servers, topic), per_key_state.EVENT))
        yield _line("5 correlations", rate(job), "Python state by key", rate(_started(per_key, scratch, "key")), 2.5)
        plain = _job(spark, servers, topic, scratch, "plain24")
        yield _line(
            "24 plain rules", rate(plain), "from_json + filter", rate(_filtered(spark, servers, topic, scratch)), 1
        )


def _line(what: str, ours: float, other: str, theirs: float, floor: float) -> Line:
    return Line(
        f"`spark detect`, {EVENTS:,} messages, {what}, against {other}",
        f"{ours / theirs:.2f} times ({ours:,.0f} and {theirs:,.0f} messages/s)",
        f"{floor:g} times",
        "-",
        ours >= floor * theirs,
    )


def _job(spark: SparkSession, servers: str, topic: str, scratch: Path, rules: str) -> Start:
    data = fresh(scratch / f"detect-{rules}")
    host = Host(data, [RULES / rules])
    host.directory.prepare(host.settings)
    recipe = ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)
    job = Job(host.ruleset, host.settings, recipe, str(data / "checkpoint"), cores(), once=True)
    records = kafka(spark, servers, [topic], at_once=BATCH, start="earliest", options={})
    return lambda: job.start(records, DeskTold(Desk(host.directory.desk)))


def _events(messages: DataFrame, schema: str) -> DataFrame:
    parsed = messages.select(from_json(col("value").cast("string"), schema).alias("read"))
    return parsed.selectExpr("read.*")


def _filtered(spark: SparkSession, servers: str, topic: str, scratch: Path) -> Start:
    """All known fields, as `spark detect` casts them, and the predicates of plain24."""
    documents = [
        document
        for file in (RULES / "plain24").glob("*.yaml")
        for document in yaml.safe_load_all(file.read_text("utf-8"))
    ]
    fields = [f"{c.name}: {_TYPES.get(c.sql, 'string')}" for c in FIELDS if not c.derived]
    data = f"data struct<{', '.join([*fields, 'note: string'])}>"
    schema = f"id string, source string, type string, time timestamp, receivedat timestamp, {data}"
    local = "hour(from_utc_timestamp(time, 'America/New_York')) AS local_hour"
    events = _events(values(spark, servers, topic), schema).selectExpr("id", "source", "type", "time", local, "data.*")
    found = [f"(type = '{d['logsource']['category']}' AND ({_in_spark(d['where'])}))" for d in documents]
    return _started(events.where(" OR ".join(found)), scratch, "filter")


def _in_spark(where: str) -> str:
    for ours, theirs in _IN_SPARK.items():
        where = where.replace(ours, theirs)
    return where


def _started(found: DataFrame, scratch: Path, name: str) -> Start:
    checkpoint = str(fresh(scratch / f"checkpoint-{name}"))

    def take(batch: DataFrame, _: int) -> None:
        batch.toArrow()

    writer = found.writeStream.foreachBatch(take).option("checkpointLocation", checkpoint).outputMode("append")
    return lambda: writer.trigger(availableNow=True).start()
