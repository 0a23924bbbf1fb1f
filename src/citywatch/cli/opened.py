"""A data directory as Python reads it: `citywatch.open(directory)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citywatch.cli.options import Moment, bounds, person
from citywatch.errors import MissingPackageError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from citywatch.analytics.period import Period
    from citywatch.stores.desk import Desk


@dataclass(frozen=True)
class Rows:
    """An answer: a table to take in the form that one works with.

    It is an Arrow table to whatever reads those (`pyarrow.table(rows)`, `polars.DataFrame(rows)`, DuckDB).
    `excluded`: what a report left out, reason -> rows; `meanings` says what the reasons mean.
    """

    table: pa.Table
    excluded: Mapping[str, int] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.table.to_pylist())

    def __repr__(self) -> str:
        left = f", excluded={dict(self.excluded)}" if self.excluded else ""
        return f"<{len(self):,} rows: {', '.join(self.table.column_names)}{left}>"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        stream: object = self.table.__arrow_c_stream__(requested_schema)  # type: ignore[no-untyped-call]  # pyarrow does not type it
        return stream

    def arrow(self) -> pa.Table:
        """As a pyarrow Table; times are timestamps in UTC, microseconds."""
        return self.table

    def pandas(self) -> pd.DataFrame:
        """As a pandas DataFrame. Raises MissingPackageError where pandas is not installed."""
        _need("pandas")
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def polars(self) -> pl.DataFrame:
        """As a polars DataFrame. Raises MissingPackageError where polars is not installed."""
        _need("polars")
        import polars as pl

        return pl.DataFrame(self.table)


class City:
    """What `citywatch.open` gives: reads a data directory, with or without an engine that writes it.

    Every question sees what is accepted at that moment. Whoever can read the directory sees plates and persons; reads
    are recorded under the name of the system's user, as those of the command line.
    """

    def __init__(self, data: Path) -> None:
        from citywatch.stores.directory import DataDirectory

        self.path = data
        self.zone: str = DataDirectory(data).require().settings().zone

    def __repr__(self) -> str:
        return f"<citywatch data in {self.path}>"

    def events(self, *types: str, start: Moment = None, end: Moment = None, columns: Sequence[str] = ()) -> Rows:
        """Events of these types (none: all), with `start` <= time < `end`, in the order of their numbers.

        `columns`: only these; none: all known fields, then stale, backfill, data and extensions.
        """
        from citywatch.analytics.tally import types_sql
        from citywatch.event import COLUMNS

        known = [*(column.name for column in COLUMNS), *_BESIDE]
        if unknown := sorted(set(columns) - set(known)):
            raise UsageError(f"events have no column {unknown[0]!r}", hint="`docs/reference/events.md` lists them")
        chosen = ", ".join(f'"{name}"' for name in columns or known)
        where = f"{types_sql(types)} AND {self._period(start, end).sql('time')}"
        return self._ask("events", f"SELECT {chosen} FROM events WHERE {where} ORDER BY seq")

    def alerts(self) -> Rows:
        """All alerts as they stand now, by first_seen and id; group, values and evidence are JSON texts."""
        from citywatch.analytics.archive import ALERT

        columns = ", ".join(f'CAST("{n}" AS VARCHAR) AS "{n}"' if t == "JSON" else f'"{n}"' for n, t in ALERT.items())
        return self._ask("alerts", f"SELECT {columns} FROM alerts ORDER BY first_seen, id")

    def report(
        self,
        name: str,
        *,
        start: Moment = None,
        end: Moment = None,
        types: Sequence[str] = (),
        by: str | None = None,
        top: int | None = None,
    ) -> Rows:
        """The named report, as `citywatch report NAME`. Raises UsageError for a name or an option that is none."""
        from citywatch.analytics.question import Asked, question
        from citywatch.cli.report import open_archive

        asking = question(name)
        with open_archive(self.path) as (archive, desk):
            answer = asking.answer(archive, Asked(self._period(start, end), tuple(types), by, top))
            record_reading(desk, f"report {name}", answer.rows.column_names)
        return Rows(answer.rows, {left.reason: left.rows for left in answer.excluded}, asking.exclusions)

    def sql(self, query: str) -> Rows:
        """One SELECT on the views events, alerts and codes, as `citywatch sql`; times stay timestamps.

        Raises UsageError for anything but one reading statement, ReportError with DuckDB's words.
        """
        return self._ask(f"sql {query}", query)

    def _ask(self, what: str, query: str) -> Rows:
        from citywatch.analytics.freely import rows_of
        from citywatch.cli.report import open_archive

        with open_archive(self.path) as (archive, desk):
            rows = rows_of(archive, query, readable=[self.path / "history", self.path / "log"])
            if desk is not None:
                desk.audit(person(), what[:1000])
        return Rows(rows)

    def _period(self, start: Moment, end: Moment) -> Period:
        from citywatch.analytics.period import Period

        return Period(*bounds(start, end, self.zone))


_BESIDE = ("stale", "backfill", "data", "extensions")


def record_reading(desk: Desk | None, what: str, columns: Sequence[str]) -> None:
    """Note who looked at plates or persons."""
    from citywatch.analytics.render.pseudonyms import PRIVATE

    if desk is not None and PRIVATE & set(columns):
        desk.audit(person(), what)


def _need(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(f"{package} is not installed", hint=f"install it with `pip install {package}`")
