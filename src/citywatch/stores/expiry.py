"""Events that are older than retention keeps them: found in history, forgotten, and taken out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from citywatch.settings import Retention
from citywatch.stores.compaction import Compactor, Numbers
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import History
from citywatch.stores.identity import Identities

AT_ONCE = 10_000_000
"""About so many events are taken out in one step; readers see all of a step or nothing of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """So many expired events of a type are in one file, named from the data directory."""

    file: str
    type: str
    rows: int

    @property
    def in_log(self) -> bool:
        """Whether they are still in the log."""
        return self.file.startswith("log/")


class Expiry:
    """Finds and removes expired events of one data directory.

    Parameters
    ----------
    now
        µs UTC: an event is expired when its time is further back than its type is kept.
    needed
        source and id of the events that stay however old they are: alerts that are not closed rest on them.
    """

    def __init__(self, data: DataDirectory, retention: Retention, now: int, needed: pa.Table) -> None:
        self._data = data
        self._needed = needed
        spans = [span for _, span in retention.events if span]
        # The first bound lets the reader of files skip what is younger than all of this.
        self._expired = (
            f"time < make_timestamptz({now - min(spans)}) AND epoch_us(time) < {now} - ({retention.span_sql('type')})"
            if spans
            else ""
        )

    def found(self) -> list[Found]:
        """Where expired events are, and how many."""
        paths = History(self._data.path).paths()
        if not self._expired or not paths:
            return []
        query = f"SELECT filename, type, count(*) FROM {self._rows(paths)} GROUP BY ALL ORDER BY ALL"
        with self._connected() as con:
            rows = con.execute(query).fetchall()
        return [Found(str(Path(name).relative_to(self._data.path.absolute())), kind, n) for name, kind, n in rows]

    def remove(self, compactor: Compactor, identities: Identities) -> int:
        """Take the expired events out of the compacted files, and forget who they were; returns how many.

        What is still in the log has to be published first. A stop in between leaves expired events in history; sent
        again they are refused as expired, so that forgetting them first doubles nothing.
        """
        rows: dict[str, int] = {}
        for found in self.found():
            if not found.in_log:
                name = found.file.removeprefix("history/")
                rows[name] = rows.get(name, 0) + found.rows
        for group in _groups(rows):
            compactor.drop(self._forgotten(group, identities))
        return sum(rows.values())

    def _forgotten(self, files: list[str], identities: Identities) -> dict[str, Numbers]:
        """File -> numbers of its expired events, whose identities are forgotten in one go."""
        gone = {name: self._expired_in(name) for name in files}
        identities.forget(*(_joined(gone.values(), column) for column in ("ident_hi", "ident_lo")))
        return {name: table.column("seq").to_numpy() for name, table in gone.items()}

    def _expired_in(self, file: str) -> pa.Table:
        query = f"SELECT seq, ident_hi, ident_lo FROM {self._rows([self._data.history / file])} ORDER BY seq"
        with self._connected() as con:
            expired: pa.Table = con.sql(query).to_arrow_table()
        return expired

    def _rows(self, paths: list[Path]) -> str:
        listed = ", ".join("'" + str(path.absolute()).replace("'", "''") + "'" for path in paths)
        files = f"read_parquet([{listed}], hive_partitioning = false, filename = true)"
        return f"(SELECT * FROM {files} ANTI JOIN needed USING (source, id) WHERE {self._expired})"

    def _connected(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect(config={"temp_directory": str(self._data.tmp / "expiry"), "memory_limit": "400MB"})
        con.execute("SET TimeZone = 'UTC'")
        con.register("needed", self._needed)
        return con


def _joined(tables: Iterable[pa.Table], column: str) -> npt.NDArray[Any]:
    joined: npt.NDArray[Any] = np.concatenate([table.column(column).to_numpy() for table in tables])
    return joined


def by_type(found: list[Found]) -> dict[str, int]:
    """Type -> how many."""
    counts: dict[str, int] = {}
    for each in found:
        counts[each.type] = counts.get(each.type, 0) + each.rows
    return dict(sorted(counts.items()))


def _groups(rows: Mapping[str, int]) -> Iterator[list[str]]:
    """Files in groups of about `AT_ONCE` rows."""
    totals = np.cumsum(list(rows.values())) // AT_ONCE
    for number in np.unique(totals):
        yield [name for name, total in zip(rows, totals, strict=True) if total == number]
