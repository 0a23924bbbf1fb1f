"""Questions in SQL, to read only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer
from citywatch.errors import ReportError, UsageError
from citywatch.offences import codes_sql

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ISO = "strftime(make_timestamp(epoch_us({column})), '%Y-%m-%dT%H:%M:%S.%fZ')"


def ask_freely(archive: Archive, query: str, readable: Sequence[Path]) -> Answer:
    """Rows of one SELECT on the views ``events``, ``alerts`` and ``codes``.

    Afterwards the archive's connection reads nothing outside of the directories `readable`, for good. Times are
    given as text, UTC. Raises UsageError for anything but one reading statement, ReportError with DuckDB's words.
    """
    con = archive.con
    try:
        _check(con, query)
        if re.search(r"\balerts\b", query, re.IGNORECASE):
            archive.need("alerts")
        con.execute(f"CREATE TEMP VIEW codes AS {codes_sql()}")
        _shut(con, readable)
        return Answer(_rows(con, query))
    except duckdb.Error as error:
        raise ReportError(str(error).strip(), hint="the views are events, alerts and codes") from error


def _check(con: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = con.extract_statements(query)
    if len(statements) != 1 or statements[0].type not in _READING:
        raise UsageError("only one statement that reads is allowed", hint="begin it with SELECT or FROM")


def _shut(con: duckdb.DuckDBPyConnection, readable: Sequence[Path]) -> None:
    """No file but ours, no network, no extension, no way back."""
    listed = ", ".join("'" + str(path.absolute()).replace("'", "''") + "'" for path in readable)
    con.execute(f"SET allowed_directories = [{listed}]")
    for setting in ("python_enable_replacements = false", "enable_external_access = false"):
        con.execute(f"SET {setting}")
    con.execute("SET lock_configuration = true")


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    relation = con.sql(query)
    shown = [
        f"{_ISO.format(column=_quoted(name))} AS {_quoted(name)}" if "TIME ZONE" in str(kind) else _quoted(name)
        for name, kind in zip(relation.columns, relation.types, strict=True)
    ]
    rows: pa.Table = relation.project(", ".join(shown)).to_arrow_table()
    return rows


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
