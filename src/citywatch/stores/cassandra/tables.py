"""The tables: one for each question, every row found by its key, no partition without a bound.

Rows are upserts by id, so that writing them again changes nothing. What people look up holds no plate and no name:
a plate is its keyed hash there. `alerts` and `users` hold everything, for reports, and are granted to nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SLOTS = 16
"""Parts of a day's alerts of one level or rule: by the first digit of the alert's id."""

PARTS = 4
"""Parts of a device's day, of six hours UTC each."""

PARTITION_BYTES = 100_000_000
"""Partitions that become larger are slow to compact and to read."""


LAST_S = (1 << 31) - 2
"""Unix seconds, in January 2038: in its usual format Cassandra refuses rows that are to live longer, but for ever."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes
    ----------
    question
        What is asked of it.
    key
        Primary key as CQL has it.
    most
        Rows that one partition has at the most, and why.
    row_bytes
        A long row, in bytes, without compression; measured by a test.
    private
        Plates and persons stand in it.
    """

    name: str
    question: str
    columns: str
    key: str
    most: tuple[int, str]
    row_bytes: int
    private: bool = False
    order: str = ""

    @property
    def cql(self) -> str:
        """The statement that makes it, where it is not there."""
        order = f" WITH CLUSTERING ORDER BY ({self.order})" if self.order else ""
        columns = " ".join(self.columns.split())
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}, PRIMARY KEY ({self.key})){order}"

    @property
    def names(self) -> list[str]:
        """Its columns."""
        bare = re.sub("<[^<>]*>", "", re.sub("<[^<>]*>", "", self.columns))
        return [part.split()[0] for part in bare.split(",")]


_SHOWN = """rule text, title text, status text, level text, last_seen timestamp, count int, state text, reason text,
    position tuple<double, double>, alert text"""

_BY_TIME = "first_seen DESC, id ASC"

TABLES: tuple[Table, ...] = (
    Table(
        name="devices",
        question="the latest word of a device",
        columns="""device_id text, kind text, said_at timestamp, position tuple<double, double>, battery double,
            temperature double, altitude double, speed_kmh double, humidity double, light double, event text""",
        key="device_id",
        most=(1, "one row a device"),
        row_bytes=4_000,
    ),
    Table(
        name="device_history",
        question="what a device said on a day",
        columns="""device_id text, day date, part tinyint, time timestamp, source text, id text, type text,
            plate_hash text, position tuple<double, double>, event text""",
        key="(device_id, day, part), time, source, id",
        order="time DESC, source ASC, id ASC",
        most=(6 * 3600 * 5, "five messages a second for six hours"),
        row_bytes=900,
    ),
    Table(
        name="alerts_by_day",
        question="the alerts of a day and a level",
        columns=f"day date, slot tinyint, first_seen timestamp, id text, {_SHOWN}",
        key="(day, level, slot), first_seen, id",
        order=_BY_TIME,
        most=(1_000_000 // SLOTS, "a million alerts of one level on one day"),
        row_bytes=1_500,
    ),
    Table(
        name="alerts_by_rule",
        question="the alerts of a rule on a day",
        columns=f"day date, slot tinyint, first_seen timestamp, id text, {_SHOWN}",
        key="(rule, day, slot), first_seen, id",
        order=_BY_TIME,
        most=(1_000_000 // SLOTS, "a million alerts of one rule on one day"),
        row_bytes=1_500,
    ),
    Table(
        name="alerts_by_plate",
        question="the alerts of a plate in a month",
        columns=f"plate_hash text, month date, first_seen timestamp, id text, {_SHOWN}",
        key="(plate_hash, month), first_seen, id",
        order=_BY_TIME,
        most=(31 * 24 * 60, "an alert each minute of a month, for a plate that is misread all the time"),
        row_bytes=1_500,
    ),
    Table(
        name="alerts",
        question="one alert, whole, by its id; and where the tables above have it",
        columns="""id text, day date, first_seen timestamp, level text, rule text,
            plate_hashes frozen<set<text>>, line text""",
        key="id",
        most=(1, "one row an alert"),
        row_bytes=40_000,
        private=True,
    ),
    Table(
        name="users",
        question="a report of a person by its id, as the older watcher's table had it",
        columns="""id text, first_name text, last_name text, gender text, age int, behaviors frozen<list<text>>,
            location frozen<list<int>>, time text, timeframe text, phone text, picture text, dangerosity_score int,
            source text, reported_at timestamp, event text""",
        key="id",
        most=(1, "one row a report"),
        row_bytes=4_000,
        private=True,
    ),
    Table(
        name="relays",
        question="how far each data directory has come",
        columns="directory text, events bigint, alerts bigint, zone text, at timestamp",
        key="directory",
        most=(1, "one row a data directory"),
        row_bytes=200,
    ),
)

BY_NAME = {table.name: table for table in TABLES}

LOOKUPS = tuple(table.name for table in TABLES if not table.private and table.name != "relays")
"""Tables that people look into."""

ROLES: dict[str, tuple[str, dict[str, str]]] = {
    "citywatch_writer": ("`up` and `run --store`", {t.name: "SELECT, MODIFY" for t in TABLES}),
    "citywatch_reports": ("`report --data cassandra://…`", dict.fromkeys(("alerts", "users", "relays"), "SELECT")),
    "citywatch_lookup": ("people and programs that look something up", dict.fromkeys(LOOKUPS, "SELECT")),
}
"""Role -> who it is for, and table -> its rights."""


def replication_of(copies: int, dc: str | None = None) -> dict[str, str]:
    """How a keyspace keeps its copies, as Cassandra says it; `dc` is their data centre."""
    strategy, where = ("NetworkTopologyStrategy", dc) if dc else ("SimpleStrategy", "replication_factor")
    return {"class": strategy, where: str(copies)}


def keyspace_cql(name: str, replication: int, dc: str | None = None) -> str:
    """The statement that makes a keyspace, where it is not there."""
    return f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication_of(replication, dc)}"
