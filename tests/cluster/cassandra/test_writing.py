"""Rows of one partition travel together, and one of them that can never be stored holds none of the others up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from citywatch.stores.cassandra.rows import STATEMENTS
from citywatch.stores.cassandra.writing import TOGETHER, TOGETHER_CHARACTERS, Writer
from tests.cluster.cassandra.keyspaces import Keyspace

pytestmark = pytest.mark.cluster


class Counting:
    """A session that counts the statements it is given."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.statements = 0

    def execute_async(self, *arguments: Any, **options: Any) -> Any:
        self.statements += 1
        return self._session.execute_async(*arguments, **options)


def history(device: str, ident: str, event: str = "{}") -> tuple[Any, ...]:
    """Values of the statement of `device_history`."""
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    return (device, date(2026, 5, 1), 2, at, "source", ident, "device.status", None, None, event, 0)


def written(store: Keyspace, rows: list[tuple[Any, ...]]) -> tuple[Writer, int]:
    """The writer that has written them, and by how many statements."""
    counting = Counting(store.session)
    writer = Writer(counting)
    statement = store.session.prepare(STATEMENTS["device_history"].format(keyspace=store.address.keyspace))
    writer.write(statement, rows, together=True)
    return writer, counting.statements


def stored(store: Keyspace, device: str) -> int:
    where = f"device_id = '{device}' AND day = '2026-05-01' AND part = 2"
    return len(store.rows(f"SELECT id FROM {{}}.device_history WHERE {where}"))


def test_rows_of_a_partition_are_written_by_few_statements_and_large_ones_by_more(store: Keyspace) -> None:
    rows = [history(device, str(number)) for number in range(2 * TOGETHER) for device in ("one", "two")]
    writer, statements = written(store, rows)
    assert (statements, writer.refused) == (4, 0)
    assert (stored(store, "one"), stored(store, "two")) == (2 * TOGETHER, 2 * TOGETHER)
    large = [history("three", str(number), "x" * TOGETHER_CHARACTERS) for number in range(5)]
    assert written(store, large)[1] == 5
    assert stored(store, "three") == 5


@pytest.mark.parametrize("wrong", ["i" * 70_000, 7])
def test_what_is_wrong_with_a_row_hurts_none_of_its_partition(store: Keyspace, wrong: Any) -> None:
    place = "one"
    rows = [history(place, str(number)) for number in range(10)]
    writer, _ = written(store, [*rows[:5], history(place, wrong), *rows[5:]])
    assert stored(store, place) == 10
    assert writer.refused == 1
    assert writer.why
