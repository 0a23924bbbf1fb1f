"""CSV that `citywatch events` wrote: its rows are the events again, as they came."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.records.chunk import faults_schema, records_schema
from citywatch.records.cloudevent import EXPORTED, cloudevent_sql
from citywatch.records.columns import Column, listed, one_array
from citywatch.records.csv_rows import Header, column_names, split_columns
from citywatch.records.lines import Cut


def is_export(header: Header) -> bool:
    """Whether these are the columns of stored events."""
    return set(column_names(header.names)) >= EXPORTED


def as_events(cuts: Iterator[Cut], header: Header) -> Iterator[Cut]:
    """The rows as CloudEvents in JSON; the line of each is that of its row."""
    with duckdb.connect(config={"threads": 2}) as con:
        for cut in cuts:
            yield _events(con, cut, header)


def _events(con: duckdb.DuckDBPyConnection, cut: Cut, header: Header) -> Cut:
    readable = np.array([_is_utf8(raw) for raw in listed(cut.records["raw"])], bool)
    records = cut.records.filter(pa.array(readable, pa.bool_()))
    columns = split_columns(one_array(records["raw"]).cast(pa.string()), column_names(header.names), header.delimiter)
    bad = _faults(records, columns.faults)
    broken = cut.records.filter(pa.array(~readable, pa.bool_()))
    faults = pa.concat_tables([cut.faults, bad, _as_faults(broken, ["not UTF-8"] * len(broken))])
    return Cut(_json(con, columns.table, records["line"].take(columns.rows)), faults)


def _json(con: duckdb.DuckDBPyConnection, rows: pa.Table, lines: Column) -> pa.Table:
    con.register("exported", rows)
    raw = con.sql(f"SELECT {cloudevent_sql(fingerprint=True, texts=True)} AS raw FROM exported").to_arrow_table()["raw"]
    con.unregister("exported")
    return pa.table([lines, one_array(raw).fill_null("null").cast(pa.binary())], schema=records_schema())


def _faults(records: pa.Table, reasons: dict[int, str]) -> pa.Table:
    rows = sorted(reasons)
    return _as_faults(records.take(pa.array(rows, pa.int64())), [reasons[row] for row in rows])


def _as_faults(records: pa.Table, reasons: list[str]) -> pa.Table:
    raws = [raw.rstrip(b"\r\n") for raw in listed(records["raw"])]
    return pa.table({"line": listed(records["line"]), "reason": reasons, "raw": raws}, schema=faults_schema())


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
