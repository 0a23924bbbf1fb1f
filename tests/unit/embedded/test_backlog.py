"""What waits for the rules is put together, and never in another order."""

from __future__ import annotations

import pyarrow as pa

from citywatch.engine.embedded.backlog import BATCH_BYTES, Backlog
from citywatch.engine.embedded.intake import Accepted

EVENT = 8
"""Bytes of an event here: its number."""


def batch(first: int, last: int, clock: int = 0) -> Accepted:
    """Events numbered `first`..`last`, as far as a backlog looks at them."""
    return Accepted(pa.table({"seq": pa.array(range(first, last + 1), pa.int64())}), clock, last)


def seqs(accepted: Accepted | None) -> list[int]:
    assert accepted is not None
    return list(accepted.events["seq"].to_numpy())


def test_neighbours_become_one_with_the_clock_of_the_last() -> None:
    backlog = Backlog()
    for accepted in (batch(1, 2, 10), batch(3, 3, 20), batch(4, 3, 30), batch(4, 6, 40)):
        backlog.leave(accepted)
    joined = backlog.next()
    assert seqs(joined) == [1, 2, 3, 4, 5, 6]
    assert joined is not None
    assert (joined.clock, joined.last) == (40, 6)
    assert backlog.next() is None


def test_a_gap_is_left_to_the_log() -> None:
    backlog = Backlog()
    backlog.leave(batch(1, 2))
    backlog.leave(batch(5, 6))
    assert seqs(backlog.next()) == [1, 2]
    assert seqs(backlog.next()) == [5, 6]


def test_what_finds_no_room_is_not_kept_and_leaves_a_gap() -> None:
    backlog = Backlog(room=4 * EVENT)
    for accepted in (batch(1, 3), batch(4, 6), batch(7, 7)):
        backlog.leave(accepted)
    assert seqs(backlog.next()) == [1, 2, 3]
    assert seqs(backlog.next()) == [7]
    backlog.leave(batch(8, 11))
    assert seqs(backlog.next()) == [8, 9, 10, 11]


def test_a_batch_does_not_grow_without_end() -> None:
    backlog = Backlog()
    most = BATCH_BYTES // EVENT
    backlog.leave(batch(1, most))
    backlog.leave(batch(most + 1, most + 1))
    assert len(seqs(backlog.next())) == most
    assert seqs(backlog.next()) == [most + 1]


def test_ticks_alone_move_the_clock() -> None:
    backlog = Backlog()
    backlog.leave(batch(8, 7, 50))
    backlog.leave(batch(8, 7, 60))
    joined = backlog.next()
    assert seqs(joined) == []
    assert joined is not None
    assert joined.clock == 60


def test_nothing_is_joined_over_a_bar_or_passes_it_before_it_is_lifted() -> None:
    backlog = Backlog()
    backlog.leave(batch(1, 2))
    backlog.bar()
    backlog.leave(batch(3, 4))
    assert seqs(backlog.next()) == [1, 2]
    assert backlog.next() is None
    backlog.lift()
    assert seqs(backlog.next()) == [3, 4]
