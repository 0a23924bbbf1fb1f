"""A table of Cassandra, such as the older watcher's `users`, read once from its beginning to its end.

Each row is a JSON object of its columns; those without a value stand there as null.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from citywatch.connections import cassandra as connection
from citywatch.errors import SourceError, UsageError
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.records.ordinals import Ordinals
from citywatch.sources.model import Options, Source

_ROWS = 10_000
_PAGE = 2_000


def open_cassandra(text: str, options: Options) -> list[Source]:
    """The source of `cassandra://user@host/keyspace/table`. Raises UsageError, SourceError."""
    address = connection.parse(text)
    if address.table is None:
        raise UsageError(f"{text!r} names no table", hint="write cassandra://user@host/keyspace/users")
    arrived = options.arrived if options.arrived is not None else time.time_ns() // 1000
    return [CassandraSource(address, Origin(address.name, arrived, date=options.date))]


@dataclass(frozen=True, slots=True)
class CassandraSource:
    """One table. Its rows are in the order of their tokens, which is always the same."""

    address: connection.Address
    origin: Origin

    @property
    def name(self) -> str:
        """Its address, without options."""
        return self.origin.name

    @property
    def bounded(self) -> bool:
        """A table is read as it is now."""
        return True

    def chunks(self) -> Iterator[Chunk]:
        """Its rows. Raises SourceError when the table is not there, or Cassandra goes away."""
        line, reading = 1, Ordinals()
        rows = self._rows()
        while some := list(islice(rows, _ROWS)):
            lines = pa.array(range(line, line + len(some)), pa.int64())
            yield Chunk(self.origin, Format.JSON, pa.table([lines, some], schema=records_schema()), reading=reading)
            line += len(some)

    def _rows(self) -> Iterator[bytes]:
        with connection.session(self.address, lambda what, hint: SourceError(what, hint=hint)) as session:
            from cassandra.query import SimpleStatement, dict_factory  # noqa: PLC0415 - an extra that few need

            session.row_factory = dict_factory
            query = SimpleStatement(f"SELECT * FROM {self.address.keyspace}.{self.address.table}", fetch_size=_PAGE)
            try:
                for row in session.execute(query):
                    yield json.dumps(row, default=plain, ensure_ascii=False).encode()
            except connection.errors() as error:
                hint = "is the table there, and may this user read it?"
                raise SourceError(f"{self.name}: {connection.said(error)}", hint=hint) from error


def plain(value: Any) -> Any:
    """A value of Cassandra as JSON has it: times in UTC, blobs in hexadecimal, anything else as it is printed."""
    if isinstance(value, datetime):
        exact = value if value.tzinfo else value.replace(tzinfo=UTC)
        return exact.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if _several(value) else str(value)


def _several(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str)
