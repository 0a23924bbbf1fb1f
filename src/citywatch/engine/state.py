"""The state that counts: append-only tables in DuckDB, cut into slices by time of intake.

`base_N` holds the rows of all streams, `kept_N` the events they stand for (for evidence), in slice N. A slice is
dropped as a whole when no window reaches into it. Sorted runs are built from these tables at start and are only a
cache. Writes happen in the host's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.engine import concurrency
from citywatch.engine.derive import BaseRows, floats
from citywatch.engine.outages import Outage
from citywatch.engine.planned import in_parts
from citywatch.engine.runs import BEGINNING, Ints

_BASE = "stream INTEGER, k UBIGINT, t BIGINT, ref BIGINT, v UBIGINT, flag BOOLEAN, lat DOUBLE, lon DOUBLE, key VARCHAR"
_KEPT = (
    "ref BIGINT, t BIGINT, source VARCHAR, id VARCHAR, type VARCHAR, "
    "lat DOUBLE, lon DOUBLE, address VARCHAR, data VARCHAR"
)
KEPT = ("seq", "time", "source", "id", "type", "lat", "lon", "address", "data")
"""Columns of a batch that are kept of base events."""

OUTAGE_TABLES = """
CREATE TABLE IF NOT EXISTS outage (from_us BIGINT, until_us BIGINT);
CREATE TABLE IF NOT EXISTS silence (feed VARCHAR, from_us BIGINT, until_us BIGINT, speakers VARCHAR[]);
"""
"""Written by the host, read when a step begins: when nothing was heard, from anybody or from one live source."""

_TABLES = """
CREATE TABLE IF NOT EXISTS engine_clock (clock BIGINT, watermark BIGINT);
CREATE TABLE IF NOT EXISTS stream (number INTEGER, fingerprint VARCHAR);
CREATE TABLE IF NOT EXISTS in_force (rule VARCHAR, version VARCHAR);
CREATE TABLE IF NOT EXISTS slice (n INTEGER, opened BIGINT);
CREATE TABLE IF NOT EXISTS open_alert (id VARCHAR, rule VARCHAR, version VARCHAR, expiry BIGINT, body VARCHAR);
CREATE TABLE IF NOT EXISTS open_evidence (id VARCHAR, texts VARCHAR[]);
"""

_SLICES_PER_RETENTION = 8

EVENT_TEXT = (
    """'{"source":' || to_json(source) || ',"id":' || to_json(id) || ',"type":' || to_json(type) || ',"time":"'"""
    """ || strftime(make_timestamp(t), '%Y-%m-%dT%H:%M:%S.%fZ') || '","data":'"""
    """ || CASE WHEN starts_with(data, '{') THEN data ELSE '{}' END || '}'"""
)
"""SQL of an event as it stands in evidence: source, id, type, time, data. An event may have none, or no object."""


def shown_sql(events: str, *more: str) -> str:
    """SQL of what alerts show of the events of a query: `ref`, `t`, what is kept of them, `text` (whole) and `more`."""
    columns = ["ref", "t", "source", "id", "lat", "lon", "address", "data", f"{EVENT_TEXT} AS text", *more]
    return f"SELECT {', '.join(columns)} FROM ({events})"


class State:
    """The tables of one engine or shard in the database of `con`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._writing: Callable[[], None] | None = None
        self._numbered = 0
        con.execute(_TABLES + OUTAGE_TABLES)
        slices = con.execute("SELECT n, opened FROM slice ORDER BY n").fetchall()
        self._slices: list[tuple[int, int, int]] = [(n, opened, self._latest(n)) for n, opened in slices]
        self._view()

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection, with everything written; raises what went wrong with it."""
        self.written()
        return self._con

    def written(self) -> None:
        """Wait until everything is written; raises what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing()

    def _latest(self, n: int) -> int:
        ((latest,),) = self.con.execute(f"SELECT max(t) FROM base_{n}").fetchall()
        return BEGINNING if latest is None else int(latest)

    def clock(self) -> tuple[int, int]:
        """Clock and watermark as they were kept; before any batch the beginning of time."""
        rows = self.con.execute("SELECT clock, watermark FROM engine_clock").fetchall()
        if not rows:
            self.con.execute("INSERT INTO engine_clock VALUES (?, ?)", [BEGINNING, BEGINNING])
            return BEGINNING, BEGINNING
        return int(rows[0][0]), int(rows[0][1])

    def set_clock(self, clock: int, watermark: int) -> None:
        """Keep clock and watermark."""
        self.con.execute("UPDATE engine_clock SET clock = ?, watermark = ?", [clock, watermark])

    def streams(self) -> dict[str, int]:
        """Number of each stream that has state, by fingerprint."""
        return dict(self.con.execute("SELECT fingerprint, number FROM stream").fetchall())

    def add_stream(self, fingerprint: str) -> int:
        """Give a new stream its number."""
        number = self.free_number()
        self.con.execute("INSERT INTO stream VALUES (?, ?)", [number, fingerprint])
        return number

    def keep_streams(self, fingerprints: Iterable[str]) -> None:
        """Forget all streams but these: nobody adds to them from now on. Their rows go with their slices."""
        for gone in self.streams().keys() - set(fingerprints):
            self.con.execute("DELETE FROM stream WHERE fingerprint = ?", [gone])

    def free_number(self) -> int:
        """A number that no stream has, that none has left rows under, and that was not given before."""
        query = "SELECT max(n) FROM (SELECT max(number) AS n FROM stream UNION ALL SELECT max(stream) FROM base)"
        ((number,),) = self.con.execute(query).fetchall()
        self._numbered = max(self._numbered, number or 0) + 1
        return self._numbered

    def in_force(self) -> set[tuple[str, str]]:
        """(name, version) of the correlations that were evaluated up to now."""
        return set(self.con.execute("SELECT rule, version FROM in_force").fetchall())

    def set_in_force(self, rules: Iterable[tuple[str, str]]) -> None:
        """These are evaluated from now on."""
        self.con.execute("DELETE FROM in_force")
        for rule in sorted(rules):
            self.con.execute("INSERT INTO in_force VALUES (?, ?)", rule)

    def forget_expired(self, watermark: int) -> None:
        """Forget open alerts that cannot grow any more, also of rules that nobody evaluates."""
        self.con.execute("DELETE FROM open_alert WHERE expiry <= ?", [watermark])
        self.con.execute("DELETE FROM open_evidence WHERE id NOT IN (SELECT id FROM open_alert)")

    def forget_alerts(self, rules: Iterable[tuple[str, str]]) -> None:
        """Forget what is open of these (name, version): they are about to be found again."""
        for rule in rules:
            self.con.execute("DELETE FROM open_alert WHERE rule = ? AND version = ?", rule)
        self.con.execute("DELETE FROM open_evidence WHERE id NOT IN (SELECT id FROM open_alert)")

    def append(
        self, rows: Mapping[int, BaseRows], kept: pa.Table, watermark: int, retention: int, *, beside: bool = False
    ) -> None:
        """Add a batch's rows by stream number, and the events that they stand for (`KEPT` of a batch).

        `beside`: in another thread; whoever asks for `con` waits for it.
        """
        base = pa.concat_tables([_as_table(number, part) for number, part in rows.items()])
        n = self._slice_for(int(base["t"].to_numpy().max()), watermark, retention)
        if beside:
            self._writing = concurrency.beside(lambda: self._insert(n, base, kept))
        else:
            self._insert(n, base, kept)

    def _insert(self, n: int, base: pa.Table, kept: pa.Table) -> None:
        self._con.register("new_base", base)
        self._con.execute(f"INSERT INTO base_{n} SELECT * FROM new_base")
        self._con.register("new_kept", in_parts(kept))
        self._con.execute(f"INSERT INTO kept_{n} SELECT * REPLACE (epoch_us(time) AS time) FROM new_kept")

    def _slice_for(self, latest: int, watermark: int, retention: int) -> int:
        width = max(retention // _SLICES_PER_RETENTION, 1)
        if not self._slices or watermark - self._slices[-1][1] > width:
            self._open_slice(watermark)
        n, opened, known = self._slices[-1]
        self._slices[-1] = (n, opened, max(latest, known))
        return int(n)

    def _open_slice(self, watermark: int, number: int | None = None) -> None:
        n = number or (self._slices[-1][0] + 1 if self._slices else 1)
        self.con.execute(f"CREATE TABLE base_{n} ({_BASE}); CREATE TABLE kept_{n} ({_KEPT})")
        self.con.execute("INSERT INTO slice VALUES (?, ?)", [n, watermark])
        self._slices.append((n, watermark, BEGINNING))
        self._view()

    def drop(self, before: int) -> None:
        """Drop the slices in which all is older than `before`, the newest one aside."""
        old = [s for s in self._slices[:-1] if s[2] < before]
        for n, _, _ in old:
            self.con.execute(f"DROP TABLE base_{n}; DROP TABLE kept_{n}; DELETE FROM slice WHERE n = {n}")
        if old:
            self._slices = [s for s in self._slices if s not in old]
            self._view()

    def _view(self) -> None:
        """`base` and `kept` over all slices."""
        for name, columns in (("base", _BASE), ("kept", _KEPT)):
            parts = [f"SELECT * FROM {name}_{n}" for n, _, _ in self._slices]
            empty = ", ".join(f"CAST(NULL AS {c.split()[1]}) AS {c.split()[0]}" for c in columns.split(", "))
            body = " UNION ALL ".join(parts) or f"SELECT {empty} WHERE false"
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {body}")

    def load(self, number: int, since: int) -> BaseRows:
        """A stream's rows that are not older than `since`."""
        query = f"SELECT * FROM base WHERE stream = {number} AND t >= {since}"
        return _as_rows(self.con.sql(query).to_arrow_table())

    def names(self, refs: Ints) -> pa.Table:
        """Source and id of kept events, in the order of the sorted `refs`."""
        self.con.register("asked", pa.table({"ref": refs}))
        # An event may be kept twice: rules that were added later have read it once more.
        query = "SELECT DISTINCT ON (ref) source, id FROM kept JOIN asked USING (ref) ORDER BY ref"
        names: pa.Table = self.con.sql(query).to_arrow_table()
        return names

    def events(self, refs: Ints) -> pa.Table:
        """What alerts show of kept events: ref, t, source, id, lat, lon, address, data, text."""
        self.con.register("asked", pa.table({"ref": refs}))
        shown: pa.Table = self.con.sql(shown_sql("SELECT * FROM kept SEMI JOIN asked USING (ref)")).to_arrow_table()
        return shown

    def keys(self, asked: pa.Table) -> dict[tuple[int, int, Hashable], str]:
        """Key text by (stream, ref, k) for a table of these three."""
        self.con.register("asked", asked)
        rows = self.con.execute(
            "SELECT stream, ref, k, key FROM base SEMI JOIN asked USING (stream, ref, k)"
        ).fetchall()
        return {(stream, ref, k): key for stream, ref, k, key in rows}

    def outages(self) -> list[Outage]:
        """Spans of time in which nothing was heard, from anybody or from one live source."""
        whole = self.con.execute("SELECT from_us, until_us FROM outage").fetchall()
        parts = self.con.execute("SELECT from_us, until_us, feed, speakers FROM silence").fetchall()
        some = (
            Outage(since, until, feed, None if names is None else frozenset(names))
            for since, until, feed, names in parts
        )
        return [*(Outage(*span) for span in whole), *some]

    # Slices move between processes as Arrow: the base rows and the events they stand for.

    def slices(self) -> list[tuple[int, int]]:
        """Number of each slice, and the watermark when it was opened; oldest first."""
        return [(n, opened) for n, opened, _ in self._slices]

    def export_slice(self, n: int, base: int, kept: int) -> tuple[pa.Table, pa.Table]:
        """The base rows and kept events of a slice that come after the first so many of each."""
        return (
            self.con.sql(f"SELECT * FROM base_{n} WHERE rowid >= {base}").to_arrow_table(),
            self.con.sql(f"SELECT * FROM kept_{n} WHERE rowid >= {kept}").to_arrow_table(),
        )

    def import_slice(self, opened: int, base: pa.Table, kept: pa.Table, number: int | None = None) -> None:
        """Add an exported slice behind the present ones; `number`: under this one instead of the next."""
        self._open_slice(opened, number)
        n = self._slices[-1][0]
        self.con.register("new_base", base)
        self.con.register("new_kept", kept)
        self.con.execute(f"INSERT INTO base_{n} SELECT * FROM new_base; INSERT INTO kept_{n} SELECT * FROM new_kept")
        self._slices[-1] = (n, opened, self._latest(n))


def _as_table(number: int, rows: BaseRows) -> pa.Table:
    columns = {name: getattr(rows, name) for name in ("k", "t", "ref", "v", "flag", "lat", "lon", "key")}
    return pa.table({"stream": np.full(len(rows), number, np.int32), **columns})


def _as_rows(table: pa.Table) -> BaseRows:
    arrays: dict[str, Any] = {name: table[name].to_numpy() for name in ("k", "t", "ref", "v", "flag")}
    arrays |= {name: floats(table[name]) for name in ("lat", "lon")}
    return BaseRows(**arrays, key=table["key"].combine_chunks())
