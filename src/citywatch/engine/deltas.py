"""What a batch adds to the state of a step, as Arrow, and a state made again of all that was added.

For hosts that keep the state that counts outside of DuckDB: they store each `Delta` and the `Head` after it. A slice is
append-only and goes as a whole; alerts are told anew when they change, and of several tellings the last counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from citywatch.engine.alerts import Changes
from citywatch.engine.state import State

_ALERTS = "SELECT id, rule, version, expiry, body FROM open_alert SEMI JOIN told USING (id)"
_EVIDENCE = "SELECT id, texts FROM open_evidence SEMI JOIN told USING (id)"


@dataclass(frozen=True, slots=True)
class Head:
    """What is small: clock and watermark (µs), number of each stream by fingerprint, (number, opened) of each slice.

    `in_force`: (name, version) of the correlations that are evaluated; none where an older release wrote it.
    """

    clock: int
    watermark: int
    streams: dict[str, int]
    slices: list[tuple[int, int]]
    in_force: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """Alerts of the state and, of those whose evidence is new, their evidence."""

    alerts: pa.Table
    evidence: pa.Table

    def __len__(self) -> int:
        return len(self.alerts)


@dataclass(frozen=True, slots=True)
class Delta:
    """What a batch adds: (base rows, kept events) by number of the slice, and the alerts that it has changed."""

    slices: dict[int, tuple[pa.Table, pa.Table]]
    told: Told


class Exporting:
    """Tells what is new in a state. All that is there at the beginning is known: from `restore`, or nothing is."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rows = {n: self._size(n) for n, _ in state.slices()}

    def follow(self, state: State) -> None:
        """Go on with another object for the same tables, in which more may stand by now."""
        self._state = state

    def head(self) -> Head:
        """As it stands now."""
        state = self._state
        return Head(*state.clock(), state.streams(), state.slices(), sorted(state.in_force()))

    def delta(self, changes: Changes) -> Delta:
        """What is new since the call before."""
        sizes = {n: self._size(n) for n, _ in self._state.slices()}
        before = {n: self._rows.get(n, (0, 0)) for n in sizes}
        slices = {n: self._state.export_slice(n, *before[n]) for n in sizes if sizes[n] != before[n]}
        self._rows = sizes
        gone = set(changes.gone)
        return Delta(slices, self.told([i for i in changes.changed if i not in gone], changes.evidence))

    def told(self, ids: Iterable[str], evidence: Iterable[str]) -> Told:
        """These alerts as the state has them, with the evidence of some."""
        return Told(self._of(_ALERTS, ids), self._of(_EVIDENCE, evidence))

    def _of(self, query: str, ids: Iterable[str]) -> pa.Table:
        self._state.con.register("told", pa.table({"id": pa.array(ids, pa.string())}))
        rows: pa.Table = self._state.con.sql(query).to_arrow_table()
        return rows

    def _size(self, n: int) -> tuple[int, int]:
        query = f"SELECT (SELECT count(*) FROM base_{n}), (SELECT count(*) FROM kept_{n})"
        ((base, kept),) = self._state.con.execute(query).fetchall()
        return int(base), int(kept)


def restore(
    con: duckdb.DuckDBPyConnection,
    head: Head,
    slices: dict[int, list[tuple[pa.Table, pa.Table]]],
    told: Iterable[Told],
) -> None:
    """Fill the empty database of `con`: parts of slices by number, alerts in the order in which they were told."""
    state = State(con)
    state.set_clock(*_kept(state, head))
    for fingerprint, number in head.streams.items():
        con.execute("INSERT INTO stream VALUES (?, ?)", [number, fingerprint])
    state.set_in_force((rule, version) for rule, version in head.in_force)
    for n, opened in head.slices:
        base, kept = zip(*slices[n], strict=True)
        state.import_slice(opened, pa.concat_tables(base), pa.concat_tables(kept), n)
    for part in told:
        _tell(con, "open_alert", part.alerts)
        _tell(con, "open_evidence", part.evidence)
    # The clock has passed these since they were told.
    con.execute("DELETE FROM open_alert WHERE expiry <= ?", [head.watermark])
    con.execute("DELETE FROM open_evidence WHERE id NOT IN (SELECT id FROM open_alert)")


def _kept(state: State, head: Head) -> tuple[int, int]:
    state.clock()  # makes the row
    return head.clock, head.watermark


def _tell(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    if len(rows):
        con.register("told", rows)
        con.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM told)")
        con.execute(f"INSERT INTO {table} SELECT * FROM told")
