"""A table of Cassandra, such as the older watcher's `users`, read once from its beginning to its end.

Each row is a JSON object of its columns, as Cassandra writes it; those without a value stand there as null.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from citywatch.connections import cassandra as connection
from citywatch.errors import SourceError, UsageError
from citywatch.records.chunk import Chunk, Format, records_schema
from citywatch.records.ordinals import Ordinals
from citywatch.sources.model import Bounded, Options, Source

_ROWS = 10_000
_PAGE = 2_000


def open_cassandra(text: str, options: Options) -> list[Source]:
    """The source of `cassandra://user@host/keyspace/table`. Raises UsageError, SourceError."""
    address = connection.parse(text)
    if address.table is None:
        raise UsageError(f"{text!r} names no table", hint="write cassandra://user@host/keyspace/users")
    return [CassandraSource(options.origin(address.name, time.time_ns() // 1000), address)]


@dataclass(frozen=True, slots=True)
class CassandraSource(Bounded):
    """One table. Its rows are in the order of their tokens, which is always the same."""

    address: connection.Address

    def chunks(self) -> Iterator[Chunk]:
        """Its rows. Raises SourceError when the table is not there, or Cassandra goes away."""
        line, reading = 1, Ordinals()
        rows = self._rows()
        while some := list(islice(rows, _ROWS)):
            lines = pa.array(range(line, line + len(some)), pa.int64())
            yield Chunk(self.origin, Format.JSON, pa.table([lines, some], schema=records_schema()), reading=reading)
            line += len(some)

    def _rows(self) -> Iterator[bytes]:
        with connection.session(self.address, _failed) as session:
            from cassandra.query import SimpleStatement  # noqa: PLC0415 - an extra that few need

            table = f"{self.address.keyspace}.{self.address.table}"
            with connection.explained(self.address, _failed, "is the table there, and may this user read it?"):
                for row in session.execute(SimpleStatement(f"SELECT JSON * FROM {table}", fetch_size=_PAGE)):
                    yield row[0].encode()


def _failed(what: str, hint: str) -> SourceError:
    return SourceError(what, hint=hint)
