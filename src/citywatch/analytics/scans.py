"""What is asked of all events: here in one go, or in many places at once, each over a part of them.

A question says what it needs of every event, as rows or as partial sums, and works on with that; so it is answered on a
laptop and on a cluster by the same SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Elsewhere = Callable[[str, Mapping[str, "pa.Table"]], Iterable["pa.Table"]]
"""Runs a statement over parts of ``events`` that make up all of them; the tables are known there by their names."""


class Sum(NamedTuple):
    """An aggregate: its SQL over events, and over the column of partial ones."""

    of_events: str
    of_parts: str


def count(where: str | None = None) -> Sum:
    """How many events, or those for which a predicate holds."""
    return Sum(f"count(*){'' if where is None else f' FILTER ({where})'}", "CAST(coalesce(sum({0}), 0) AS BIGINT)")


COUNT = count()


@dataclass
class Scans:
    """`con` has the relation ``events``; with `elsewhere` it is asked there, and is empty here."""

    con: duckdb.DuckDBPyConnection
    elsewhere: Elsewhere | None = None
    _made: list[str] = field(default_factory=list)

    def rows(self, columns: str, where: str, relation: str = "events", beside: Iterable[str] = ()) -> str:
        """SQL of a relation: the columns of every event for which `where` holds.

        `relation` may join ``events`` with small tables of `con`, whose names are `beside`.
        """
        sql = f"SELECT {columns} FROM {relation} WHERE {where}"
        return f"({sql})" if self.elsewhere is None else self._gathered(sql, beside)

    def grouped(
        self, keys: str, sums: Mapping[str, Sum], where: str, relation: str = "events", beside: Iterable[str] = ()
    ) -> str:
        """SQL of a relation: a row for each value of `keys`, which are `SQL AS name` or nothing, with the `sums`."""
        of_events = ", ".join(f'{each.of_events} AS "{name}"' for name, each in sums.items())
        by = f"{keys}, " if keys else ""
        sql = f"SELECT {by}{of_events} FROM {relation} WHERE {where}{' GROUP BY ALL' if keys else ''}"
        if self.elsewhere is None:
            return f"({sql})"
        quoted = {name: f'"{name}"' for name in sums}
        of_parts = ", ".join(f"{each.of_parts.format(quoted[name])} AS {quoted[name]}" for name, each in sums.items())
        others = f"COLUMNS(* EXCLUDE ({', '.join(quoted.values())})), " if keys else ""
        merged = f"SELECT {others}{of_parts} FROM {self._gathered(sql, beside)}"
        return f"({merged}{' GROUP BY ALL' if keys else ''})"

    def _gathered(self, sql: str, beside: Iterable[str]) -> str:
        """Name of a temporary table with what all the places say."""
        if self.elsewhere is None:
            raise TypeError("there is nowhere else to ask")
        name = f"gathered_{len(self._made)}"
        self._made.append(name)
        self.con.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM ({sql}) LIMIT 0")
        tables = {table: self.con.sql(f'FROM "{table}"').to_arrow_table() for table in beside}
        for part in self.elsewhere(sql, tables):
            self.con.register("part", part)
            self.con.execute(f"INSERT INTO {name} SELECT * FROM part")
            self.con.unregister("part")
        return name
