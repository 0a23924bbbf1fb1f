"""The archive job: a streaming query from a source to files by day and type, each event once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from citywatch.engine.spark.conditions import MakeParser
from citywatch.engine.spark.filing import Filing
from citywatch.engine.spark.job import query, slots, stateful
from citywatch.engine.spark.kept import Run
from citywatch.engine.spark.message import SCHEMA, Kind, unpacked
from citywatch.engine.spark.reading import Reading
from citywatch.engine.spark.stateful import Stateful
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores.archive.received import SPARK, WRITTEN

_START_S = 60.0


@dataclass(frozen=True)
class Filed:
    """One batch: name of the checkpoint, number, files (`received.WRITTEN`), counts as `told.Told` has them."""

    job: str
    number: int
    written: pa.Table
    counts: Counter[str]


@dataclass(frozen=True)
class ArchiveJob:
    """`citywatch spark archive`; fields as those of `job.Job`. `target`: address of the archive."""

    settings: Settings
    make_parser: MakeParser
    target: str
    checkpoint: str
    shards: int = 1
    mappings: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    every: str = "1 minute"

    def start(self, records: DataFrame, take: Callable[[Filed], None]) -> StreamingQuery:
        """Start the query over `records` (`reading.INPUT`); `take` is called in the driver with each batch.

        A batch that was not committed comes again, with the same number and other files of the same events.
        """
        numbers = slots(records.sparkSession, self.shards)
        sealed = Filing(Ruleset(()), self.settings, self.make_parser, numbers, target=self.target).sealed()
        read = records.mapInArrow(Reading(sealed, self.mappings, raw=True), SCHEMA)
        written = stateful(read, Stateful("files", sealed, Run(self.checkpoint, uuid.uuid4().hex)))
        name: Future[str] = Future()

        def taken(batch: DataFrame, number: int) -> None:
            job = name.result(_START_S)
            take(_filed(job, number, batch.select("kind", "rows").toArrow()))

        every = None if self.once else self.every
        begun = query("archive", written, taken, checkpoint=self.checkpoint, every=every)
        name.set_result(f"{SPARK}{begun.id}")  # Spark gives a checkpoint an id of its own, for ever
        return begun


def _filed(job: str, number: int, messages: Any) -> Filed:
    counts: Counter[str] = Counter()
    written = [WRITTEN.empty_table()]
    for kind, rows in zip(messages["kind"].to_pylist(), messages["rows"].to_pylist(), strict=True):
        table = unpacked(rows)
        if kind == Kind.COUNTS:
            counts.update(table.to_pylist()[0])
        elif kind == Kind.FILES:
            written.append(table)
        elif kind == Kind.REJECTED:
            counts["rejected"] += len(table)
    return Filed(job, number, pa.concat_tables(written), counts)
