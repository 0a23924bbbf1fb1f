"""What is between hearing and reading takes no more memory than it may."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from citywatch.errors import SourceError
from citywatch.sources.inbox import GATHER_BYTES, GATHER_ROWS, Inbox, size_of


def test_messages_are_taken_in_their_order_and_not_more_of_them_than_is_parsed_at_once() -> None:
    small: Inbox[bytes] = Inbox()
    small.put([b"%d" % n for n in range(GATHER_ROWS + 1)])
    assert [len(small.take()), small.take()] == [GATHER_ROWS, [b"%d" % GATHER_ROWS]]
    large: Inbox[bytes] = Inbox()
    large.put([bytes(GATHER_BYTES), bytes(GATHER_BYTES // 2), bytes(GATHER_BYTES // 2), b"x"])
    assert [len(large.take()) for _ in range(3)] == [1, 2, 1]


def test_it_is_full_until_what_was_taken_is_released() -> None:
    inbox: Inbox[bytes] = Inbox(room=3_000)
    inbox.put([bytes(3_000)])
    messages = inbox.take()
    assert inbox.full
    inbox.release(size_of(messages))
    assert not inbox.full


def test_many_small_messages_fill_it_too() -> None:
    inbox: Inbox[bytes] = Inbox(room=1 << 20)
    inbox.put([b""] * 10_000)
    assert inbox.full


@pytest.mark.parametrize("wake", [lambda inbox: inbox.release(5_000), lambda inbox: inbox.end()])
def test_who_waits_for_room_gets_it_when_something_is_released_or_at_the_end(
    wake: Callable[[Inbox[bytes]], None],
) -> None:
    inbox: Inbox[bytes] = Inbox(room=1_000)
    inbox.put([bytes(5_000)])
    inbox.wait_for_room(0.01)
    assert inbox.full
    filler = threading.Thread(target=inbox.wait_for_room)
    filler.start()
    filler.join(0.05)
    assert filler.is_alive()
    wake(inbox)
    filler.join(30)
    assert not filler.is_alive()


def test_at_the_end_nothing_is_taken_and_the_first_error_is_raised() -> None:
    inbox: Inbox[bytes] = Inbox()
    inbox.put([b"x"])
    inbox.end()
    assert inbox.take() == []
    inbox.end(SourceError("first"))
    inbox.end(SourceError("second"))
    with pytest.raises(SourceError, match="first"):
        inbox.take()
