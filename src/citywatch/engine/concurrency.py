"""Work on several cores: NumPy and DuckDB do not hold the interpreter's lock while they work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def side_by_side(work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """As `map`, with several items at a time."""
    return _threads().map(work, items)


def beside(work: Callable[[], Answer]) -> Callable[[], Answer]:
    """Begin `work` in another thread; what is returned waits for the answer, or raises what went wrong."""
    return _threads().submit(work).result


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; the next one is made while one is in use. Who ends earlier leaves nobody at work behind."""
    following = beside(lambda: next(items, None))
    try:
        while (item := following()) is not None:
            following = beside(lambda: next(items, None))
            yield item
    except GeneratorExit:
        with suppress(Exception):  # what is wrong with an item that nobody takes concerns nobody
            following()
        raise


def usable_cores() -> int:
    """How many this process may use; DuckDB takes all that the machine has, which is slower where those are fewer."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores() -> int:
    """The same, as far as they are worth a thread here: 1 to 4."""
    return min(usable_cores(), 4)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(cores(), 2), thread_name_prefix="engine step")
