"""Events as messages of an older system: the `from:` of a mapping."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from citywatch.errors import MappingError
from citywatch.event import derived_sql
from citywatch.mappings.macros import create_macros
from citywatch.mappings.model import Mapping, Return
from citywatch.records.columns import Array, one_array
from citywatch.settings import Settings


def render(events: pa.Table, mapping: Mapping, settings: Settings | None = None) -> Array:
    """The message (JSON, or a line) of each of `events`, NULL where the shape has no word for the event.

    `events` has `event.batch_schema()`.

    Raises MappingError when the mapping goes one way only.
    """
    return Renderer(mapping, settings)(events)


def as_file(messages: Iterable[str], mapping: Mapping) -> str:
    """Messages of a mapping as a file holds them: one a line, below the header that the shape may have."""
    header = mapping.returns.header if mapping.returns else None
    return "\n".join(messages if header is None else [header, *messages])


class Renderer:
    """Writes batch after batch in the shape of a mapping; of use to one thread. Called with events, see `render`."""

    def __init__(self, mapping: Mapping, settings: Settings | None = None) -> None:
        if mapping.returns is None:
            raise MappingError(f"{mapping.name} has no from: events cannot be written in its shape")
        zone = (settings or Settings()).zone
        self._con = duckdb.connect(config={"enable_external_access": False, "threads": 2})
        self._con.execute("SET TimeZone = 'UTC'")
        create_macros(self._con, zone)
        self._sql = _sql(mapping.returns, zone)

    def __call__(self, events: pa.Table) -> Array:
        """The message of each event, or NULL."""
        self._con.register("stored", events.append_column("_row", pa.array(range(events.num_rows))))
        answer = self._con.sql(self._sql).to_arrow_table()
        self._con.unregister("stored")
        return one_array(answer["record"])


def _sql(returns: Return, zone: str) -> str:
    derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(zone).items())
    pairs = ", ".join(f"'{key}', {expression.sql}" for key, expression in returns.record.items())
    text = returns.line.sql if returns.line else f"json_object({pairs})"
    return (
        f"SELECT CASE WHEN {returns.when.sql} THEN CAST({text} AS VARCHAR) END AS record"
        f" FROM (SELECT * REPLACE (CAST(data AS JSON) AS data), {derived} FROM stored) ORDER BY _row"
    )
