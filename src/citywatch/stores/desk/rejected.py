"""Records that could not be read: kept once, counted each time, never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from citywatch.errors import StoreError
from citywatch.stores import durable
from citywatch.stores.desk.database import Database, now_us

if TYPE_CHECKING:
    import pyarrow as pa

RAW_LIMIT = 1 << 20
"""Longer records (bytes) lie whole in `rejected/` beside the desk; here stands their head."""

HEAD = 4096

CHUNK = 5_000

_UPSERT = """
INSERT INTO rejected VALUES (?,?,?,?,?,?,?,?,1,?,NULL)
ON CONFLICT (id) DO UPDATE SET
  "count" = rejected."count" + 1,
  first_seen = min(rejected.first_seen, excluded.first_seen),
  last_seen = max(rejected.last_seen, excluded.last_seen),
  reason = excluded.reason, mapping = excluded.mapping, replayed_at = NULL
"""


class RejectedRecords(Database):
    """Rejected records on the desk."""

    def put_rejected(self, table: pa.Table) -> None:
        """Keep rejected records; on the disk when it returns. One that is known is counted again.

        Parameters
        ----------
        table
            Columns id, source, line (BIGINT or NULL), reason, raw (BINARY or VARCHAR), mapping (or NULL),
            received_at (timestamp, microseconds).
        """
        import pyarrow as pa  # noqa: PLC0415 - reading the desk needs no Arrow

        for start in range(0, table.num_rows, CHUNK):
            part = table.slice(start, CHUNK)
            times = part["received_at"].cast(pa.int64())
            part = part.set_column(part.schema.get_field_index("received_at"), "received_at", times)
            raws: list[Any] = [value.as_buffer() for value in cast(Any, part["raw"].cast(pa.binary()))]
            records = part.drop_columns(["raw"]).to_pylist()
            rows = [self._row(record, raw) for record, raw in zip(records, raws, strict=True)]
            with self.transaction() as con:
                con.executemany(_UPSERT, rows)

    def _row(self, record: dict[str, Any], raw: pa.Buffer | None) -> tuple[Any, ...]:
        content, at = memoryview(raw or b""), record["received_at"]
        large = self.aside is not None and len(content) > RAW_LIMIT
        if self.aside is not None and large:
            _keep_whole(self.aside, record["id"], content)
        kept = bytes(content[:HEAD] if large else content)
        origin = (record["id"], record["source"], record["line"], record["reason"])
        return (*origin, kept, record["mapping"], at, at, len(content))

    def rejected(
        self, ids: Sequence[str] | None = None, *, source: str | None = None, replayed: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Rejected records by source and line.

        `raw` is text (what is not UTF-8 is escaped); a record of more than 1 MiB shows its head, see `size` and
        `rejected_raw`. Those that a replay could read are passed over unless `replayed`.
        """
        where = ["replayed_at IS NULL"] if not replayed else []
        params: list[Any] = []
        if source is not None:
            where.append("source = ?")
            params.append(source)
        if ids is not None:
            where.append(f"id IN ({', '.join('?' * len(ids))})")
            params.extend(ids)
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        with self.reading() as con:
            for row in con.execute(f"SELECT * FROM rejected {condition} ORDER BY source, line, id", params):
                yield {**dict(row), "raw": row["raw"].decode("utf-8", "backslashreplace")}

    def rejected_since(self, place: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """(place, record) of those that were kept first after `place`, in that order; the record without `raw`."""
        ((last,),) = self._con.execute("SELECT coalesce(max(rowid), 0) FROM rejected").fetchall()
        after = place if last >= place else 0  # the newest were forgotten, and their numbers are given out again
        query = "SELECT rowid, * FROM rejected WHERE rowid > ? ORDER BY rowid LIMIT ?"
        found = [dict(row) for row in self._con.execute(query, [after, limit]).fetchall()]
        return [(int(row.pop("rowid")), {name: row[name] for name in row if name != "raw"}) for row in found]

    def rejected_raw(self, record: str) -> bytes:
        """The record as it came, whole."""
        row = self._con.execute("SELECT raw, size FROM rejected WHERE id = ?", [record]).fetchone()
        if row is None:
            raise StoreError(f"no rejected record {record}", hint="see `citywatch rejected list`")
        if self.aside is None or row["size"] <= RAW_LIMIT:
            return bytes(row["raw"])
        return _whole(self.aside, record).read_bytes()

    def mark_replayed(self, ids: Sequence[str], *, now: int | None = None) -> None:
        """Note that these records could be read after all."""
        at = now_us() if now is None else now
        with self.transaction() as con:
            con.executemany("UPDATE rejected SET replayed_at = ? WHERE id = ?", [(at, record) for record in ids])

    def rejected_count(self) -> int:
        """How many different records wait for somebody to look at them."""
        return int(self._con.execute("SELECT count(*) FROM rejected WHERE replayed_at IS NULL").fetchone()[0])


def _whole(directory: Path, record: str) -> Path:
    if not re.fullmatch("[A-Za-z0-9_-]{1,128}", record):
        raise StoreError(f"{record!r} cannot be the id of a rejected record")
    return directory / f"{record}.raw"


def _keep_whole(directory: Path, record: str, content: memoryview) -> None:
    file = _whole(directory, record)
    if not file.exists():
        directory.mkdir(exist_ok=True)
        durable.write(file, content)
