"""What a batch has to say to the world, as the driver gets it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from citywatch.alert import facts_schema
from citywatch.engine.runs import BEGINNING
from citywatch.engine.spark.message import Kind, unpacked
from citywatch.event import batch_schema
from citywatch.records.chunk import rejected_schema


@dataclass(frozen=True)
class Told:
    """What follows from one batch. The same batch may be told twice: after a kill between telling and commit.

    Attributes
    ----------
    batch
        Spark's number of it.
    facts, rejected, corrections
        Tables: `alert.facts_schema()`, `rejected_schema()`, `event.batch_schema()`.
    counts
        events, duplicates, conflicts, rejected, late; bytes of state that each stage wrote (identities_bytes,
        rules_bytes), and reloads of shards that were not warm.
    clock
        Of the shards, µs; None where none had anything to do.
    """

    batch: int
    facts: pa.Table
    rejected: pa.Table
    corrections: pa.Table
    counts: Counter[str] = field(default_factory=Counter)
    clock: int | None = None

    @classmethod
    def of(cls, batch: int, messages: Any) -> Self:
        """From an Arrow table of messages."""
        tables: dict[str, list[pa.Table]] = {kind: [] for kind in Kind}
        for kind, rows in zip(messages["kind"].to_pylist(), messages["rows"].to_pylist(), strict=True):
            tables[kind].append(unpacked(rows))
        counts: Counter[str] = Counter()
        clocks = []
        for table in tables[Kind.COUNTS]:
            (row,) = table.to_pylist()
            clocks += [row.pop("clock")] if "clock" in row else []
            counts.update(row)
        rejected = _joined(rejected_schema(), tables[Kind.REJECTED])
        counts["rejected"] += len(rejected)
        return cls(
            batch,
            _joined(facts_schema(), tables[Kind.FACTS]),
            rejected,
            _joined(batch_schema(), tables[Kind.CORRECTIONS]),
            counts,
            max((clock for clock in clocks if clock > BEGINNING), default=None),
        )


def _joined(schema: pa.Schema, tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)]).combine_chunks()
