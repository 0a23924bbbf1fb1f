"""What questions are asked of: a DuckDB connection with history, and the desk's tables when a question needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.analytics.period import Period

CORRECTED = "violation.corrected"


@dataclass
class Archive:
    """`con` has the relation ``events``: all stored and derived columns, each event once.

    Parameters
    ----------
    zone
        The city's IANA zone.
    desk
        Makers of further relations by name; each is called once, when a question first needs it:
        ``alerts`` (the fields of an alert; first_seen, last_seen, updated_at TIMESTAMPTZ; group, values, evidence
        JSON as text) and ``rejected`` (source, reason VARCHAR, received_at TIMESTAMPTZ).
    """

    con: duckdb.DuckDBPyConnection
    zone: str
    desk: Mapping[str, Callable[[], pa.Table]] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def need(self, relation: str) -> str:
        """Make a relation of the desk known to `con`; gives back its name."""
        if relation not in self._made:
            self.con.register(relation, self.desk[relation]())
            self._made.add(relation)
        return relation

    def need_evidence(self) -> None:
        """Make the temporary table ``evidence``: alert, source and id of each event that an alert rests on."""
        if "evidence" in self._made:
            return
        self.need("alerts")
        self.con.execute("""
            CREATE TEMP TABLE evidence AS
            WITH each AS (SELECT id, unnest(CAST(evidence AS JSON[])) AS event FROM alerts)
            SELECT id AS alert, event->>'source' AS source, event->>'id' AS id FROM each""")
        self._made.add("evidence")

    def query(self, sql: str) -> pa.Table:
        """Answer of one statement, as Arrow."""
        table: pa.Table = self.con.sql(sql).to_arrow_table()
        return table

    def one(self, sql: str) -> tuple[Any, ...]:
        """The one row of a statement."""
        row = self.con.execute(sql).fetchone()
        if row is None:  # an aggregate always has one; anything else is a mistake of the caller
            raise LookupError(f"no row: {sql}")
        return row

    @cached_property
    def has_corrections(self) -> bool:
        """Make the temporary tables ``corrections`` and ``corrected``; False when nothing was ever corrected.

        ``corrections`` has every violation.corrected event: target_source, target_id, code, and its own time, source
        and id. ``corrected`` has the last one, by (time, source, id), of each target that history knows.
        """
        self.con.execute(f"""
            CREATE OR REPLACE TEMP TABLE corrections AS
            SELECT corrects_source AS target_source, corrects_id AS target_id, violation_code AS new_code,
                   time AS sent, source AS sender, id AS number
            FROM events WHERE type = '{CORRECTED}'""")
        if not self.one("SELECT count(*) FROM corrections")[0]:
            return False
        self.con.execute("""
            CREATE OR REPLACE TEMP TABLE corrected AS
            WITH last AS (
                SELECT target_source, target_id, new_code FROM corrections
                QUALIFY row_number() OVER (
                    PARTITION BY target_source, target_id ORDER BY sent DESC, sender DESC, number DESC) = 1)
            SELECT last.* FROM last JOIN (SELECT source, id FROM events) AS targets
                ON target_source = source AND target_id = id""")
        return True

    def corrections_of_unknown_events(self, period: Period) -> int:
        """How many corrections sent in the period name an event that history does not have."""
        if not self.has_corrections:
            return 0
        unknown = self.one(f"""
            SELECT count(*) FROM corrections ANTI JOIN corrected USING (target_source, target_id)
            WHERE {period.sql("sent")}""")
        return int(unknown[0])
