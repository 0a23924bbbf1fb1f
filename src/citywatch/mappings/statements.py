"""SQL over Arrow tables, planned once: a small batch must not pay for the planning of a long statement."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import duckdb
import pyarrow as pa

SMALL = 8192
"""Rows of an Arrow batch: DuckDB works on several at once."""

_KEPT = 128
"""Statements, and shapes of tables, that are remembered."""


class _Slot:
    """A relation whose rows change while plans that read it stay valid."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.table = schema.empty_table()

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        table: Any = self.table
        return table.__arrow_c_stream__(requested_schema)


class Statements:
    """Runs statements over named tables on one connection; for one thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._slots: OrderedDict[tuple[str, pa.Schema], tuple[str, _Slot]] = OrderedDict()
        self._prepared: OrderedDict[str, str] = OrderedDict()
        self._number = 0

    def table(self, name: str, table: pa.Table) -> str:
        """Name under which SQL reads `table`, until the next table of this name and schema."""
        key = (name, table.schema)
        if key not in self._slots:
            self._number += 1
            relation = f"{name}_{self._number}"
            self._slots[key] = (relation, _Slot(table.schema))
            self._con.register(relation, self._slots[key][1])
            self._forget_tables()
        self._slots.move_to_end(key)
        relation, slot = self._slots[key]
        slot.table = pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=SMALL), table.schema)
        return relation

    def run(self, sql: str, *values: int) -> pa.Table:
        """Answer of `sql` as Arrow; ``CAST($1 AS BIGINT)`` and so on in it are `values`."""
        used = [value for i, value in enumerate(values, start=1) if f"CAST(${i} AS BIGINT)" in sql]
        given = f"({', '.join(map(str, used))})" if used else ""
        try:
            return self._answer(self._plan(sql), given)
        except (duckdb.DataError, duckdb.InvalidInputException):
            return self._exact(sql, given)

    def run_small(self, sql: str, *values: int) -> pa.Table:
        """As `run`, quicker, where tables have at most `SMALL` rows: the rows of more would lose their order.

        DuckDB plans a statement that has parameters anew each time; one that reads the values from a table it does not.
        """
        given = self.table("given", pa.table({f"v{i}": [value] for i, value in enumerate(values, start=1)}))
        for i in range(1, len(values) + 1):
            sql = sql.replace(f"CAST(${i} AS BIGINT)", f"(SELECT v{i} FROM {given})")
        return self.run(sql)

    def _answer(self, plan: str, given: str) -> pa.Table:
        answer: pa.Table = self._con.sql(f"EXECUTE {plan}{given}").to_arrow_table()
        return answer

    def _plan(self, sql: str) -> str:
        """Name of the statement's plan."""
        if sql not in self._prepared:
            self._number += 1
            self._prepared[sql] = f"statement_{self._number}"
            self._con.execute(f"PREPARE {self._prepared[sql]} AS {sql}")
            if len(self._prepared) > _KEPT:
                self._con.execute(f"DEALLOCATE {self._prepared.popitem(last=False)[1]}")
        self._prepared.move_to_end(sql)
        return self._prepared[sql]

    def _exact(self, sql: str, given: str) -> pa.Table:
        """The answer of a statement that failed by its optimisation.

        DuckDB computes once what expressions have in common, even out of two TRY, and so outside of both.
        """
        self._con.execute("SET disabled_optimizers = 'common_subexpressions'")
        try:
            self._con.execute(f"PREPARE exact AS {sql}")
            return self._answer("exact", given)
        finally:
            self._con.execute("DEALLOCATE exact")
            self._con.execute("RESET disabled_optimizers")

    def release(self) -> None:
        """Let go of the rows of all tables."""
        for _, slot in self._slots.values():
            slot.table = slot.schema.empty_table()

    def _forget_tables(self) -> None:
        if len(self._slots) <= _KEPT:
            return
        for sql in list(self._prepared):  # plans over forgotten tables would fail
            self._con.execute(f"DEALLOCATE {self._prepared.pop(sql)}")
        _, (relation, _) = self._slots.popitem(last=False)
        self._con.unregister(relation)
