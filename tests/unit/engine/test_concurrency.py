"""Work beside the work."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from citywatch.engine.concurrency import ahead


def test_items_come_in_their_order_and_what_goes_wrong_with_one_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("the fourth")

    made = ahead(items())
    assert [next(made) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="the fourth"):
        next(made)


def test_who_ends_earlier_leaves_nobody_at_work_behind() -> None:
    begun, may_end = threading.Event(), threading.Event()
    ended = []

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        assert may_end.wait(30)
        ended.append("the second")
        yield 2

    made = ahead(items())
    assert next(made) == 1
    assert begun.wait(30)
    threading.Timer(0.05, may_end.set).start()
    made.close()  # type: ignore[attr-defined]  # a generator
    assert ended == ["the second"]
