"""Questions in SQL, to read only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from citywatch.analytics.archive import Archive, without_nonsense
from citywatch.analytics.question import Answer
from citywatch.errors import ReportError, UsageError
from citywatch.offences import codes_sql

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ISO = "strftime(make_timestamp(epoch_us({column})), '%Y-%m-%dT%H:%M:%S.%fZ')"


def ask_freely(archive: Archive, query: str, readable: Sequence[Path | str]) -> Answer:
    """As `rows_of`, with times as text, UTC."""
    return Answer(rows_of(archive, query, readable, shown=_as_text))


def rows_of(
    archive: Archive,
    query: str,
    readable: Sequence[Path | str],
    shown: Callable[[str, str], str] = lambda name, _: name,
) -> pa.Table:
    """Rows of one SELECT on the views ``events``, ``alerts`` and ``codes``.

    Afterwards the archive's connection reads nothing outside of the directories `readable`, for good. `shown`: quoted
    name and SQL type of a column -> SQL of what is given. The second of two columns ``id`` is called ``id_1``. Raises
    UsageError for anything but one reading statement, ReportError with DuckDB's words.
    """
    con = archive.con
    try:
        _check(con, query)
        if re.search(r"\balerts\b", query, re.IGNORECASE):
            archive.need_alerts()
        con.execute(f"CREATE TEMP VIEW codes AS {codes_sql()}")
        _shut(con, readable)
        relation = _told_apart(con, query)
        columns = [shown(_quoted(name), str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
        rows = without_nonsense(relation.project(", ".join(columns)).to_arrow_table())
    except duckdb.Error as error:
        raise ReportError(str(error).strip(), hint="the views are events, alerts and codes") from error
    return rows


def _check(con: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = con.extract_statements(query)
    if len(statements) != 1 or statements[0].type not in _READING:
        raise UsageError("only one statement that reads is allowed", hint="begin it with SELECT or FROM")


def _shut(con: duckdb.DuckDBPyConnection, readable: Sequence[Path | str]) -> None:
    """No file but ours, no network, no extension, no way back."""
    places = (str(place.absolute()) if isinstance(place, Path) else place for place in readable)
    listed = ", ".join("'" + place.replace("'", "''") + "'" for place in places)
    con.execute(f"SET allowed_directories = [{listed}]")
    for setting in ("python_enable_replacements = false", "enable_external_access = false"):
        con.execute(f"SET {setting}")
    con.execute("SET lock_configuration = true")


def _told_apart(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """What is asked, no column called like another: of two of one name, in any case, SQL would take the first twice."""
    relation = con.sql(query)
    names: dict[str, str] = {}
    for name in relation.columns:
        tries = itertools.chain([name], (f"{name}_{n}" for n in itertools.count(1)))
        free = next(new for new in tries if new.casefold() not in names)
        names[free.casefold()] = free
    if list(names.values()) == relation.columns:
        return relation
    con.execute(f"CREATE TEMP VIEW _asked ({', '.join(map(_quoted, names.values()))}) AS {query}")
    return con.sql("FROM _asked")


def _as_text(name: str, kind: str) -> str:
    return f"{_ISO.format(column=name)} AS {name}" if "TIME ZONE" in kind else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
