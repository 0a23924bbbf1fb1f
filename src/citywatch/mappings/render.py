"""Events as messages of an older system: the `from:` of a mapping."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from citywatch.errors import MappingError
from citywatch.event import derived_sql
from citywatch.mappings.macros import create_macros
from citywatch.mappings.model import Mapping
from citywatch.records.columns import Array, one_array
from citywatch.settings import Settings


def render(events: pa.Table, mapping: Mapping, settings: Settings | None = None) -> Array:
    """The message (JSON, or a line) of each of `events`, NULL where the shape has no word for the event.

    `events` has `event.batch_schema()`.

    Raises MappingError when the mapping goes one way only.
    """
    if mapping.returns is None:
        raise MappingError(f"{mapping.name} has no from: events cannot be written in its shape")
    zone = (settings or Settings()).zone
    con = duckdb.connect(config={"enable_external_access": False, "threads": 2})
    con.execute("SET TimeZone = 'UTC'")
    create_macros(con, zone)
    con.register("stored", events.append_column("_row", pa.array(range(events.num_rows))))
    derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(zone).items())
    pairs = ", ".join(f"'{key}', {expression.sql}" for key, expression in mapping.returns.record.items())
    text = mapping.returns.line.sql if mapping.returns.line else f"json_object({pairs})"
    answer = con.sql(
        f"SELECT CASE WHEN {mapping.returns.when.sql} THEN CAST({text} AS VARCHAR) END AS record"
        f" FROM (SELECT * REPLACE (CAST(data AS JSON) AS data), {derived} FROM stored) ORDER BY _row"
    ).to_arrow_table()
    con.close()
    return one_array(answer["record"])
