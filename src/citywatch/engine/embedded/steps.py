"""The second transaction: the step's new state, its alerts and the place it has reached in the log, together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.alert import facts_schema
from citywatch.engine.embedded.clock import BEGINNING
from citywatch.engine.embedded.hearing import Silence
from citywatch.engine.embedded.intake import Accepted
from citywatch.engine.planned import Planned
from citywatch.engine.state import OUTAGE_TABLES
from citywatch.engine.step import Step, reach
from citywatch.errors import StoreError
from citywatch.event import batch_schema
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History, Manifest
from citywatch.stores.log import Log, Segment
from citywatch.stores.sorter import Sorter

ORDER = ["received_at", "time", "source", "id"]
"""The order in which a bounded run reads its events."""

CORRECTED = "violation.corrected"
CORRECTION_COLUMNS = ["type", "source", "id", "time", "corrects_source", "corrects_id", "violation_code", "data"]

_BATCH_ROWS = 65_536
_FACTS = '"id", "rule", "rule_id", "rule_version", "title", "level", "status", "group", "first_seen", "last_seen", '
_FACTS += '"count", "late", "lat", "lon", "address", "reason", "values", "evidence", "inconclusive", "silent"'
_TABLES = """
CREATE TABLE IF NOT EXISTS host (cursor BIGINT, clock BIGINT, told BIGINT);
CREATE TABLE IF NOT EXISTS outbox (n BIGINT, {facts});
CREATE TABLE IF NOT EXISTS outbox_correction (n BIGINT, type VARCHAR, source VARCHAR, id VARCHAR, time TIMESTAMPTZ,
  corrects_source VARCHAR, corrects_id VARCHAR, violation_code SMALLINT, data VARCHAR);
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What one transaction has to tell the desk: alert facts and corrections, under an ascending number."""

    n: int
    facts: pa.Table
    corrections: pa.Table


class Steps:
    """The step over the engine's own database. One thread uses it.

    Parameters
    ----------
    threads, memory
        What DuckDB may use: threads, and text like `400MB`.
    """

    def __init__(
        self, data: DataDirectory, ruleset: Ruleset, settings: Settings, *, threads: int = 2, memory: str = "400MB"
    ) -> None:
        self._data = data
        self._settings = settings
        self._ruleset = ruleset
        self._log = Log(data.log)
        self._con = _connect(data.engine, data.tmp, threads, memory)
        self.cursor, self.clock, self.told = self._place()
        self._relayed = 0
        self._step: Step | None = None
        self._outbox = {
            table: Planned(
                self._con, f"fill_{table}", _numbered(empty, 0).schema, f"INSERT INTO {table} FROM fill_{table}_rows"
            )
            for table, empty in (("outbox", facts_schema().empty_table()), ("outbox_correction", _no_corrections()))
        }
        self._waiting = set(self._outbox)
        """Tables in which something may be that the desk has to be told."""

    def copy(self, target: Path) -> None:
        """Copy the database as it was committed last to a new file."""
        name = self._con.execute("SELECT current_database()").fetchall()[0][0]
        self._con.execute(f"ATTACH '{str(target).replace(chr(39), chr(39) * 2)}' AS copy")
        try:
            self._con.execute(f'COPY FROM DATABASE "{name}" TO copy')
        finally:
            self._con.execute("DETACH copy")

    def close(self) -> None:
        """Close the database."""
        self._con.close()

    @property
    def errors(self) -> dict[str, int]:
        """Rows on which a predicate failed, by predicate, since the rules were loaded."""
        return dict(self._step.errors) if self._step else {}

    def replace_rules(self, ruleset: Ruleset) -> None:
        """Evaluate other rules from the next batch on."""
        self._ruleset = ruleset
        self._step = None

    def begin(self) -> Told | None:
        """Make the step; rules that know nothing yet first read history in silence. What they found has to be told."""
        if self._step is not None:
            return None
        # One transaction: a stop in between must not leave streams that are known and empty.
        with _transaction(self._con):
            step = Step(self._con, self._ruleset, self._settings)
            if not step.unseen or not self.cursor:
                self._step = step
                return None
            since = self.clock - reach(self._ruleset, step.unseen, self._settings)
            facts = step.catch_up(self._past(since), since)
            told = self._record(facts, _no_corrections(), self.cursor, self.clock)
            self._step = Step(self._con, self._ruleset, self._settings)
        return told

    def advance(self, accepted: Accepted) -> Told | None:
        """Take in events that follow the cursor, or only move the clock; durable when it returns."""
        step = self._step
        if step is None:
            raise StoreError("the rules have to be begun first")
        corrections = _corrections(accepted.events)
        try:
            with _transaction(self._con):
                facts = step.advance(accepted.events, accepted.clock)
                return self._record(facts, corrections, accepted.last, accepted.clock)
        except BaseException:
            self._step = None  # its memory is ahead of the tables
            raise

    def behind(self, until: int) -> Iterator[Accepted]:
        """Events of the log between the cursor and number `until`, with the clock after them, in large batches."""
        published = Manifest.read(self._data.history).seq
        if self.cursor < published and not self._log.holds(self.cursor + 1):
            yield from self._forgotten(published)
        while self.cursor < until:
            segments = self._log.segments(self.cursor)
            group = [segments[0], *_within(segments[1:], _BATCH_ROWS - segments[0].rows)]
            yield from self._read(group)

    def _read(self, segments: list[Segment]) -> Iterator[Accepted]:
        table = pa.concat_tables([self._log.read(segment, self.cursor) for segment in segments])
        clock = max(self._log.footer(segments[-1]).clock, self.clock)
        for start in range(0, len(table), _BATCH_ROWS):
            part = table.slice(start, _BATCH_ROWS)
            ended = start + len(part) == len(table)
            # Inside a segment the clock is not known: it stays, and what waits for it waits for the segment's end.
            yield Accepted(part, clock if ended else self.clock, part.column("seq")[-1].as_py())

    def untold(self) -> Iterator[Told]:
        """What was committed and perhaps not told before the last stop."""
        numbers = self._con.execute("SELECT n FROM outbox UNION SELECT n FROM outbox_correction ORDER BY n").fetchall()
        columns = ", ".join(CORRECTION_COLUMNS)
        for (n,) in numbers:
            facts = self._con.sql(f"SELECT {_FACTS} FROM outbox WHERE n = {n}").to_arrow_table()
            corrections = self._con.sql(f"SELECT {columns} FROM outbox_correction WHERE n = {n}").to_arrow_table()
            yield Told(n, facts.cast(facts_schema()), corrections)

    def relayed(self, n: int) -> None:
        """The desk has everything up to number `n`; it is forgotten with the next transaction."""
        self._relayed = max(self._relayed, n)

    def outage(self, since: int, until: int) -> None:
        """Remember that nothing was heard in between; the step is made anew, because it reads this when it begins."""
        with _transaction(self._con):
            self._con.execute("INSERT INTO outage VALUES (?, ?)", [since, until])
        self._step = None

    def silence(self, silence: Silence) -> None:
        """Remember that one live source is silent, or was; as `outage`."""
        speakers = None if silence.speakers is None else sorted(silence.speakers)
        with _transaction(self._con):
            self._con.execute("DELETE FROM silence WHERE feed = ? AND from_us = ?", [silence.source, silence.since])
            row = [silence.source, silence.since, silence.until, speakers]
            self._con.execute("INSERT INTO silence VALUES (?, ?, ?, ?)", row)
        self._step = None

    def _record(self, facts: pa.Table, corrections: pa.Table, cursor: int, clock: int) -> Told | None:
        """Write what follows from a batch beside the step's state, inside its transaction."""
        self._forget_relayed()
        told = self.told
        if len(facts) or len(corrections):
            told += 1
            for table, rows in (("outbox", facts), ("outbox_correction", corrections)):
                if len(rows):
                    self._outbox[table].write(_numbered(rows, told))
                    self._waiting.add(table)
        self._con.execute("UPDATE host SET cursor = ?, clock = ?, told = ?", [cursor, clock, told])
        self.cursor, self.clock = cursor, clock
        if told == self.told:
            return None
        self.told = told
        return Told(told, facts, corrections)

    def _forget_relayed(self) -> None:
        """Remove what the desk has; tables in which nothing can be are not even asked."""
        if self._relayed:
            for table in self._waiting:
                self._con.execute(f"DELETE FROM {table} WHERE n <= {self._relayed}")
            if self._relayed == self.told:
                self._waiting.clear()
            self._relayed = 0

    def _place(self) -> tuple[int, int, int]:
        with _transaction(self._con):
            facts = ", ".join(f'"{field.name}" {_sql_type(field.type)}' for field in facts_schema())
            self._con.execute(_TABLES.format(facts=facts) + OUTAGE_TABLES)
            if not self._con.execute("SELECT 1 FROM host").fetchall():
                self._con.execute("INSERT INTO host VALUES (0, ?, 0)", [BEGINNING])
            cursor, clock, told = self._con.execute("SELECT cursor, clock, told FROM host").fetchall()[0]
            # What was silent when the engine stopped: whether it is so still has to be seen anew.
            self._con.execute("UPDATE silence SET until_us = ? WHERE until_us IS NULL", [clock])
        return int(cursor), int(clock), int(told)

    def _past(self, since: int) -> Iterator[tuple[pa.Table, int]]:
        """Events that new rules still have to know, in the order of their receipt, with the clock after each batch."""
        condition = f"NOT stale AND NOT backfill AND received_at >= make_timestamptz({since})"
        for table in self._history(0, self.cursor, condition, ORDER):
            yield table, _latest(table)
        yield batch_schema().empty_table(), self.clock

    def _forgotten(self, until: int) -> Iterator[Accepted]:
        """Published events that the step does not know: its database was lost, and is made again."""
        for table in self._history(self.cursor, until, "true", ["seq"]):
            current = table.filter(pc.invert(table.column("backfill")))
            clock = max(self.clock, _latest(current)) if len(current) else self.clock
            yield Accepted(table, clock, table.column("seq")[-1].as_py())
        # The last ones may have been removed by retention: the log goes on behind them.
        yield Accepted(batch_schema().empty_table(), self.clock, until)

    def _history(self, above: int, until: int, condition: str, order: list[str]) -> Iterator[pa.Table]:
        """Stored events numbered in (above, until] that meet `condition`, put in order."""
        relation = History(self._data.path).relation_sql(above=above, until=until)
        columns = ", ".join(f'"{name}"' for name in batch_schema().names)
        with duckdb.connect() as reader, Sorter(self._data.tmp, order) as sorter:
            query = reader.sql(f"SELECT {columns} FROM ({relation}) WHERE {condition}")
            for batch in query.to_arrow_reader(_BATCH_ROWS):
                sorter.add(pa.Table.from_batches([batch]).cast(batch_schema()))
            yield from sorter.batches(_BATCH_ROWS)


def _numbered(rows: pa.Table, n: int) -> pa.Table:
    """Rows of an outbox: the number under which they are told comes first."""
    return rows.add_column(0, "n", pa.array([n] * len(rows), pa.int64()))


def _latest(events: pa.Table) -> int:
    """The latest receipt among events, µs."""
    received: int = pc.max(events.column("received_at").cast(pa.int64())).as_py()
    return received


def _within(segments: list[Segment], rows: int) -> list[Segment]:
    """The first of `segments` that have at most `rows` rows together."""
    totals = accumulate(segment.rows for segment in segments)
    return [segment for segment, total in zip(segments, totals, strict=True) if total <= rows]


def _connect(path: Path, tmp: Path, threads: int, memory: str) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": memory,
        "temp_directory": str(tmp / "duckdb"),
    }
    try:
        con = duckdb.connect(path, config=config)
        con.execute("SET TimeZone = 'UTC'")
    except duckdb.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}", hint="see `citywatch doctor`") from error
    return con


class _transaction:  # noqa: N801 - reads as a statement
    """BEGIN, then COMMIT, or ROLLBACK when something goes wrong."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def __enter__(self) -> None:
        self._con.execute("BEGIN")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._con.execute("COMMIT" if kind is None else "ROLLBACK")


def _corrections(events: pa.Table) -> pa.Table:
    if not len(events):
        return _no_corrections()
    return events.filter(pc.equal(events.column("type"), pa.scalar(CORRECTED))).select(CORRECTION_COLUMNS)


def _no_corrections() -> pa.Table:
    return batch_schema().empty_table().select(CORRECTION_COLUMNS)


def _sql_type(type_: pa.DataType) -> str:
    if pa.types.is_timestamp(type_):
        return "TIMESTAMPTZ"
    return {"string": "VARCHAR", "int64": "BIGINT", "bool": "BOOLEAN", "double": "DOUBLE"}[str(type_)]
