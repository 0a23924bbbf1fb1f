"""What rules would have said: the engine step over history, with state that is thrown away."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.alert import facts_schema
from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings

ORDER = "received_at, time, source, id"
"""The order of a bounded run."""

_COMPACT = 200_000


def backtest(batches: Iterable[pa.Table], ruleset: Ruleset, settings: Settings, until: int) -> pa.Table:
    """Run rules over the past.

    Parameters
    ----------
    batches
        Events (`event.batch_schema()`) in `ORDER`, each once, none received after `until`. Events that were backfill
        when they came take part: in this order nothing is.
    ruleset, settings
        What is evaluated, and how.
    until
        Where the clock stands in the end, µs.

    Returns
    -------
    Facts (`alert.facts_schema()`), one for each alert, by first_seen and id.
    """
    facts: list[pa.Table] = []
    with duckdb.connect() as con:
        step = Step(con, ruleset, settings)
        seq = 0
        for batch in batches:
            if len(batch):
                facts.append(_advance(con, step, _renumbered(batch, seq), _latest(batch)))
                seq += len(batch)
            if sum(map(len, facts)) > _COMPACT:
                facts = [_final(facts)]
        facts.append(_advance(con, step, batch_schema().empty_table(), until))
    return _final(facts).sort_by([("first_seen", "ascending"), ("id", "ascending")])


def _advance(con: duckdb.DuckDBPyConnection, step: Step, batch: pa.Table, clock: int) -> pa.Table:
    con.begin()
    facts = step.advance(batch, clock)
    con.commit()
    return facts


def _renumbered(batch: pa.Table, start: int) -> pa.Table:
    """The batch numbered as a fresh log would number it, with nothing that is backfill."""
    for name, values in (
        ("seq", pa.array(np.arange(start, start + len(batch)))),
        ("backfill", pa.array(np.zeros(len(batch), np.bool_))),
    ):
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)
    return batch


def _latest(batch: pa.Table) -> int:
    """The clock after a batch: the latest receipt."""
    latest: int = pc.max(batch["received_at"]).cast(pa.int64()).as_py()
    return latest


def _final(facts: list[pa.Table]) -> pa.Table:
    """The last word on each alert."""
    table = pa.concat_tables(facts) if facts else facts_schema().empty_table()
    last = {id_: row for row, id_ in enumerate(table["id"].to_pylist())}
    return table.take(pa.array(sorted(last.values()), pa.int64()))
