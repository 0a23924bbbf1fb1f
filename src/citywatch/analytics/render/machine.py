"""Answers for programs: JSON as the contract writes it, and CSV."""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING, Any

from citywatch.analytics.question import Answer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def write_json(con: duckdb.DuckDBPyConnection, name: str, answer: Answer, out: IO[bytes]) -> None:
    """`{"name", "rows", "excluded"}`, a row a line. DuckDB writes the rows: there can be millions."""
    con.register("answer_rows", answer.rows)
    lines = con.sql("SELECT chr(10) || '  ' || CAST(to_json(r) AS VARCHAR) || ',' AS line FROM answer_rows AS r")
    out.write(f'{{"name": {json.dumps(name)}, "rows": ['.encode())
    written = b"".join(_bytes(chunk) for chunk in lines.to_arrow_table().column(0).chunks)
    con.unregister("answer_rows")
    out.write(memoryview(written)[:-1])
    excluded = [{"reason": left.reason, "rows": left.rows} for left in answer.excluded]
    out.write(f'{chr(10) if written else ""}], "excluded": {json.dumps(excluded)}}}\n'.encode())


def _bytes(lines: pa.Array[Any]) -> memoryview:
    """The texts of an Arrow array one behind the other, as they lie in memory."""
    import pyarrow as pa  # noqa: PLC0415 - the list of questions is shown without Arrow

    large = lines.cast(pa.large_string())
    _, offsets, data = large.buffers()
    if offsets is None or data is None:
        return memoryview(b"")
    edges = memoryview(offsets).cast("q")
    return memoryview(data)[edges[large.offset] : edges[large.offset + len(large)]]


def write_csv(answer: Answer, out: IO[str]) -> None:
    """A header and the rows; NULL is empty. What was left out is not in it: see `excluded`."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.rows.column_names)
    for batch in answer.rows.to_batches():
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
