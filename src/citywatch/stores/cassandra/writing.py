"""How rows reach Cassandra: many statements under way at once, and the rows of one partition in one of them.

A batch of rows of one partition is one mutation to the server: it costs little more than a row. Batches over several
partitions would cost more than their rows, so there are none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from citywatch.connections import cassandra as connection

if TYPE_CHECKING:
    from cassandra.cluster import Session

Row = tuple[Any, ...]
Answer = tuple[bool, Any]
"""(True, answer) or (False, error)."""

AT_ONCE = 64
"""Statements under way at the same time."""

TOGETHER = 50
TOGETHER_CHARACTERS = 64 << 10
"""Rows of one partition in one statement, at most."""

LONGEST = 1 << 20
"""Characters of a text; a server takes no write of 16 MiB and more."""


class Writer:
    """Writes rows by prepared statements. One row that can never be stored holds no other up: it is counted.

    Attributes
    ----------
    refused, why
        Rows that can never be stored, and what was wrong with the last of them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.refused, self.why = 0, ""

    def write(self, statement: Any, values: Iterable[Row], *, together: bool = False) -> None:
        """Write rows; what the server does not take now is raised (`connections.cassandra.errors()`).

        `together`: the statement's table has several rows in a partition, and no two of `values` are the same one.
        """
        found = list(values)
        rows = [row for row in found if all(len(value) <= LONGEST for value in row if isinstance(value, str))]
        if len(rows) < len(found):
            self._refuse(len(found) - len(rows), f"a text of more than {LONGEST:,} characters")
        if together:
            rows = self._together(statement, rows)
        for error in _lasting(self.answers(statement, rows)):
            self._refuse(1, connection.said(error))  # the server says so, or it cannot even be written for it

    def answers(self, statement: Any, values: Sequence[Row]) -> list[Answer]:
        """What became of each."""
        from cassandra.concurrent import execute_concurrent_with_args  # noqa: PLC0415 - an extra that few need

        answers: list[Answer] = execute_concurrent_with_args(
            self._session, statement, values, concurrency=AT_ONCE, raise_on_first_error=False
        )
        return answers

    def _together(self, statement: Any, rows: Sequence[Row]) -> list[Row]:
        """Write the rows of each partition; returns those that have to be written alone."""
        from cassandra.concurrent import execute_concurrent  # noqa: PLC0415 - an extra that few need

        alone, groups, batches = [], [], []
        for group in _partitions(statement, rows):
            batch = _batch(statement, group) if len(group) > 1 else None
            if batch is None:
                alone += group
            else:
                groups.append(group)
                batches.append((batch, None))
        answers = execute_concurrent(self._session, batches, concurrency=AT_ONCE, raise_on_first_error=False)
        for group, (done, answer) in zip(groups, answers, strict=True):
            if not done:
                list(_lasting([(done, answer)]))
                alone += group  # one of them can never be stored
        return alone

    def _refuse(self, rows: int, why: str) -> None:
        self.refused, self.why = self.refused + rows, why


def _lasting(answers: Iterable[Answer]) -> Iterator[Any]:
    """What is wrong for ever with what was written. Raises what is wrong now."""
    from cassandra import InvalidRequest  # noqa: PLC0415 - an extra that few need

    for done, answer in answers:
        if not done:
            if isinstance(answer, connection.errors()) and not isinstance(answer, InvalidRequest):
                raise answer
            yield answer


def _partitions(statement: Any, rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows by partition, each in pieces that one statement can hold."""
    by_key: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[tuple(row[at] for at in statement.routing_key_indexes)].append(row)
    for of_one in by_key.values():
        group: list[Row] = []
        size = 0
        for row in of_one:
            if group and (len(group) == TOGETHER or size > TOGETHER_CHARACTERS):
                yield group
                group, size = [], 0
            group.append(row)
            size += sum(len(value) for value in row if isinstance(value, str))
        yield group


def _batch(statement: Any, rows: Sequence[Row]) -> Any | None:
    """One statement for all of them; None when a row cannot be written for the server at all."""
    from cassandra.query import BatchStatement, BatchType  # noqa: PLC0415 - an extra that few need

    batch = BatchStatement(BatchType.UNLOGGED)
    try:
        for row in rows:
            batch.add(statement, row)
    except Exception:  # the driver's own, of many kinds; each row is written alone, and then says what is wrong with it
        return None
    return batch
