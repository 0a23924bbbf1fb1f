"""Answers for programs: JSON as the contract writes it, and CSV."""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING

from citywatch.analytics.question import Answer

if TYPE_CHECKING:
    import duckdb


def write_json(con: duckdb.DuckDBPyConnection, name: str, answer: Answer, out: IO[bytes]) -> None:
    """`{"name", "rows", "excluded"}`, a row a line. DuckDB writes the rows: there can be millions."""
    con.register("answer_rows", answer.rows)
    lines = con.sql("SELECT ',' || chr(10) || '  ' || CAST(to_json(r) AS VARCHAR) AS line FROM answer_rows AS r")
    out.write(f'{{"name": {json.dumps(name)}, "rows": ['.encode())
    first = True
    for batch in lines.to_arrow_table().to_batches():
        text = "".join(batch.column(0).to_pylist())
        out.write((text[1:] if first else text).encode())
        first = first and not text
    con.unregister("answer_rows")
    excluded = [{"reason": left.reason, "rows": left.rows} for left in answer.excluded]
    out.write(f'{"" if first else chr(10)}], "excluded": {json.dumps(excluded)}}}\n'.encode())


def write_csv(answer: Answer, out: IO[str]) -> None:
    """A header and the rows; NULL is empty. What was left out is not in it: see `excluded`."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.rows.column_names)
    for batch in answer.rows.to_batches():
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
