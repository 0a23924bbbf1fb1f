"""`spark detect` beside what Spark offers by itself, over the same topic, in one run on the same cores.

Correlations: against the same rules as Python state by key (`per_key_state`); both have to find the same rules
and keys. Parse and plain rules: what the job does with messages, and the statements of the rules over them, against
`from_json` and a filter in Spark SQL, of which each event that a rule holds for comes out; then the whole job against
the same. A stage that does both at once, `FirstStage`, is only here: in the job, events first go to the shard that
recognises copies. Python state by key and the filter recognise no copies, and keep neither evidence nor what cannot be
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import yaml
from pyspark.sql.functions import col, from_json

from bench import per_key_state
from bench.measure import Line, cores, fresh
from bench.on_spark import BATCH, CITY, EVENTS, RULES, broker, city, job, rate, session, values
from citywatch.cli.hosting import Host
from citywatch.engine.derive import Derivation
from citywatch.engine.spark.conditions import Conditions, Sealed
from citywatch.engine.spark.inputs import kafka
from citywatch.engine.spark.message import Kind, of_batch
from citywatch.engine.spark.reading import Reading
from citywatch.event import FIELDS, batch_schema
from citywatch.mappings.recipe import ParserRecipe
from citywatch.stores.desk import Desk

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Alerted = tuple[str, str]
"""A rule, and the key for which it raised an alert."""

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
    """Rates without the first batch; where Java has the work, of the second of two runs."""
    with broker(scratch) as servers, session(scratch) as spark:
        city(servers, scratch)
        yield _correlations(spark, servers, scratch)
        yield from _plain(spark, servers, scratch)


def _correlations(spark: SparkSession, servers: str, scratch: Path) -> Line:
    data = scratch / "detect-spark"
    rate(job(spark, servers, data, "spark", cores()))
    ours = rate(job(spark, servers, data, "spark", cores()))
    per_key = per_key_state.matches(_events(values(spark, servers), per_key_state.EVENT))
    by_key, matches = _rate(per_key, scratch, "key")
    found = _alerts(data)
    _same(found, {(row["rule"], row["key"]) for row in matches.to_pylist()})
    beside = f"; the same {len(found):,} rules and keys"
    return _line("5 correlations", (ours, by_key), "Python state by key", 2.5, beside)


def _alerts(data: Path) -> set[Alerted]:
    with Desk(data / "desk.sqlite") as desk:
        return {(alert["rule"], value) for alert in desk.alerts() for value in alert["group"].values()}


def _same(ours: set[Alerted], theirs: set[Alerted]) -> None:
    """Raises RuntimeError where one found what the other did not, or nothing was found."""
    if ours != theirs or not ours:
        only = f"only `spark detect` has {sorted(ours - theirs)[:5]}, only the other {sorted(theirs - ours)[:5]}"
        raise RuntimeError(f"{len(ours):,} and {len(theirs):,} rules and keys: {only}")


def _plain(spark: SparkSession, servers: str, scratch: Path) -> Iterator[Line]:
    _rate(_filtered(spark, servers), scratch, "filter")
    filtered, found = _rate(_filtered(spark, servers), scratch, "filter")
    first, held = _rate(_first_stage(spark, servers, scratch), scratch, "first")
    if len(held) != len(found):
        raise RuntimeError(f"plain rules hold for {len(held):,} events, and Spark SQL finds {len(found):,}")
    alone = "parse and 24 plain rules alone, as a stage of this bench and not of the job"
    yield _line(alone, (first, filtered), "from_json + filter", 1)
    plain = rate(job(spark, servers, scratch / "detect-plain24", "plain24", cores()))
    measured = f"{plain / filtered:.2f} times ({plain:,.0f} messages/s)"
    yield Line("the same, the whole job: copies, evidence, state and desk", measured)


def _line(what: str, rates: tuple[float, float], other: str, floor: float, beside: str = "") -> Line:
    ours, theirs = rates
    return Line(
        f"`spark detect`, {EVENTS:,} messages, {what}, against {other}",
        f"{ours / theirs:.2f} times ({ours:,.0f} and {theirs:,.0f} messages/s{beside})",
        f"{floor:g} times",
        "-",
        ours >= floor * theirs,
    )


def _events(messages: DataFrame, schema: str) -> DataFrame:
    parsed = messages.select(from_json(col("value").cast("string"), schema).alias("read"))
    return parsed.selectExpr("read.*")


def _filtered(spark: SparkSession, servers: str) -> DataFrame:
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
    events = _events(values(spark, servers), schema).selectExpr("id", "source", "type", "time", local, "data.*")
    found = [f"(type = '{d['logsource']['category']}' AND ({_in_spark(d['where'])}))" for d in documents]
    return events.where(" OR ".join(found))


def _first_stage(spark: SparkSession, servers: str, scratch: Path) -> DataFrame:
    """The same of the first stage of the job."""
    host = Host(fresh(scratch / "detect-first"), [RULES / "plain24"])
    recipe = ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)
    conditions = Conditions(host.ruleset, host.settings, recipe, (0,))
    records = kafka(spark, servers, [CITY], at_once=BATCH, start="earliest", options={})
    return records.mapInArrow(FirstStage(conditions.sealed()), FirstStage.OUT)


class FirstStage:
    """Called by Spark with the batches of one task: messages are parsed, and the plain rules evaluated."""

    OUT = "id string, source string, type string, time timestamp, data string"

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Events that a rule holds for."""
        derive = _derivation(self._sealed)
        for messages in Reading(self._sealed, {})(batches):
            for message in of_batch(messages):
                if message.kind == Kind.EVENTS:
                    events = message.table().select(batch_schema().names)
                    seq = pa.array(np.arange(len(events)))
                    derived = derive(events.set_column(events.column_names.index("seq"), "seq", seq))
                    refs = [rows["ref"].to_numpy() for rows in derived.plain.values()]
                    found = events.take(np.unique(np.concatenate([np.empty(0, np.int64), *refs])))
                    yield from found.select([name.split()[0] for name in self.OUT.split(", ")]).to_batches()


@cache
def _derivation(sealed: Sealed) -> Derivation:
    """Made once in a worker."""
    conditions = sealed.open()
    con = duckdb.connect(config={"threads": 1})
    rules = [rule for rule in conditions.ruleset.rules if rule.selection is not None]
    return Derivation(con, conditions.ruleset, rules, [], zone=conditions.settings.zone)


def _in_spark(where: str) -> str:
    for ours, theirs in _IN_SPARK.items():
        where = where.replace(ours, theirs)
    return where


def _rate(found: DataFrame, scratch: Path, name: str) -> tuple[float, pa.Table]:
    """Messages a second, and the rows that were found."""
    checkpoint = str(fresh(scratch / f"checkpoint-{name}"))
    rows: list[pa.Table] = []

    def take(batch: DataFrame, _: int) -> None:
        rows.append(batch.toArrow())

    writer = found.writeStream.foreachBatch(take).option("checkpointLocation", checkpoint).outputMode("append")
    return rate(lambda: writer.trigger(availableNow=True).start()), pa.concat_tables(rows)
