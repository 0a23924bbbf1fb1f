"""What questions are asked of: a DuckDB connection with history, and the desk's tables when a question needs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from citywatch.analytics.scans import Elsewhere, Scans, Sum

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.analytics.period import Period

CORRECTED = "violation.corrected"

_TEXT = "id rule rule_id rule_version title level status address reason state outcome assignee"
ALERT: Mapping[str, str] = {
    **dict.fromkeys(_TEXT.split(), "VARCHAR"),
    **dict.fromkeys(("first_seen", "last_seen", "updated_at"), "TIMESTAMPTZ"),
    **dict.fromkeys(("group", "values", "evidence"), "JSON"),
    "count": "BIGINT",
    "late": "BOOLEAN",
    "lat": "DOUBLE",
    "lon": "DOUBLE",
}
"""Column of the relation ``alerts`` -> its SQL type."""

Read = Callable[[Sequence[str]], "pa.Table | pa.RecordBatchReader"]
"""Reads the columns that are named, and perhaps more."""

_REFERENCES = '[{"source":"VARCHAR","id":"VARCHAR"}]'
"""What is read of an alert's evidence."""


def without_nonsense(table: pa.Table) -> pa.Table:
    """The table with NULL for numbers that are none, as some means are: JSON has no word for them."""
    import numpy as np  # noqa: PLC0415 - the list of questions is shown without Arrow
    import pyarrow as pa  # noqa: PLC0415 - as above; its own functions take 40 ms to load

    for at, column in enumerate(table.schema):
        if pa.types.is_floating(column.type):
            values = table.column(at).to_numpy()
            table = table.set_column(at, column, pa.array(values, column.type, mask=~np.isfinite(values)))
    return table


@dataclass
class Archive:
    """`con` has the relation ``events``: all stored and derived columns, each event once.

    Parameters
    ----------
    zone
        The city's IANA zone.
    desk
        Reads what the desk has, when a question first needs it: ``alerts`` gives columns of `ALERT`, or a column
        `line` of alerts as the contract writes them in JSON; ``rejected`` the columns source, reason (VARCHAR) and
        received_at (TIMESTAMPTZ), ``population`` zip (VARCHAR) and population (BIGINT).
    elsewhere
        Asks events in many places at once; then ``events`` is empty here, and only `scans` knows them.
    """

    con: duckdb.DuckDBPyConnection
    zone: str
    desk: Mapping[str, Read] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    _made: set[str] = field(default_factory=set)
    _of_alerts: set[str] = field(default_factory=set)

    @cached_property
    def scans(self) -> Scans:
        """What is asked of all events."""
        return Scans(self.con, self.elsewhere)

    def need(self, relation: str) -> None:
        """Make a relation of `desk` other than ``alerts`` known to `con`."""
        if relation not in self._made:
            self._made.add(relation)
            self.con.register(f"{relation}_read", self.desk[relation](()))
            self.con.execute(f"CREATE TEMP TABLE {relation} AS FROM {relation}_read")

    def need_alerts(self, *columns: str) -> None:
        """Make the temporary table ``alerts``, with these columns of `ALERT` at least; none named: with all."""
        wanted = self._of_alerts | set(columns or ALERT)
        if wanted != self._of_alerts:
            self._of_alerts = wanted
            types = {name: sql for name, sql in ALERT.items() if name in wanted}
            self.con.execute(f"CREATE OR REPLACE TEMP TABLE alerts AS {self._reading_alerts(types)}")

    def need_evidence(self) -> None:
        """Make the temporary table ``evidence``: source and id of each event that an alert rests on, for each alert."""
        if "evidence" not in self._made:
            self._made.add("evidence")
            read = self._reading_alerts({"evidence": "VARCHAR"})  # as JSON it would be looked through twice
            each = f"unnest(from_json(evidence, '{_REFERENCES}'), recursive := true)"
            self.con.execute(f"CREATE TEMP TABLE evidence AS SELECT {each} FROM ({read})")

    def _reading_alerts(self, types: Mapping[str, str]) -> str:
        """SQL that reads columns of the alerts, once."""
        read = self.desk["alerts"](list(types))
        self.con.register("alerts_read", read)
        if read.schema.names == ["line"]:
            return f"SELECT unnest(from_json(line, '{json.dumps(types)}')) FROM alerts_read"
        cast = (f'CAST("{name}" AS {sql}) AS "{name}"' for name, sql in types.items())
        return f"SELECT {', '.join(cast)} FROM alerts_read"

    def span(self, where: str) -> tuple[datetime, datetime] | None:
        """Time of the first and of the last event for which a predicate holds."""
        ends = {"first": Sum("min(time)", "min({0})"), "last": Sum("max(time)", "max({0})")}
        first, last = self.one(f"SELECT epoch_us(first), epoch_us(last) FROM {self.scans.grouped('', ends, where)}")
        if first is None:
            return None
        return datetime.fromtimestamp(first / 1_000_000, UTC), datetime.fromtimestamp(last / 1_000_000, UTC)

    def query(self, sql: str) -> pa.Table:
        """Answer of one statement, as Arrow."""
        return without_nonsense(self.con.sql(sql).to_arrow_table())

    def one(self, sql: str) -> tuple[Any, ...]:
        """The one row of a statement."""
        [row] = self.con.execute(sql).fetchall()
        return tuple(row)

    @cached_property
    def has_corrections(self) -> bool:
        """Make the temporary tables ``corrections`` and ``corrected``; False when nothing was ever corrected.

        ``corrections`` has every violation.corrected event: target_source, target_id, code, and its own time, source
        and id. ``corrected`` has the last one, by (time, source, id), of each target that history knows, and
        target_seq, the number of the target in the log.
        """
        columns = """corrects_source AS target_source, corrects_id AS target_id, violation_code AS new_code,
            time AS sent, source AS sender, id AS number"""
        found = self.scans.rows(columns, f"type = '{CORRECTED}'")
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE corrections AS SELECT * FROM {found}")
        if not self.one("SELECT count(*) FROM corrections")[0]:
            return False
        self.con.execute("""
            CREATE OR REPLACE TEMP TABLE last_corrections AS
            SELECT target_source, target_id, new_code FROM corrections
            QUALIFY row_number() OVER (
                PARTITION BY target_source, target_id ORDER BY sent DESC, sender DESC, number DESC) = 1""")
        targets = self.scans.rows(
            "target_source, target_id, new_code, seq AS target_seq",
            "true",
            "last_corrections JOIN (SELECT seq, source, id FROM events) ON target_source = source AND target_id = id",
            ["last_corrections"],
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE corrected AS SELECT * FROM {targets}")
        return True

    def corrections_of_unknown_events(self, period: Period) -> int:
        """How many corrections sent in the period name an event that history does not have."""
        if not self.has_corrections:
            return 0
        unknown = self.one(f"""
            SELECT count(*) FROM corrections ANTI JOIN corrected USING (target_source, target_id)
            WHERE {period.sql("sent")}""")
        return int(unknown[0])
