"""Work beside the work ends when it is told to, and says what ended it."""

from __future__ import annotations

import errno
import os
import sys
import threading

import pytest

from citywatch.background import Background


class _Counting(Background):
    def __init__(self, most: int | None = None, *, gives_way: bool = False) -> None:
        super().__init__("counting", gives_way=gives_way)
        self.most = most
        self.turns = 0
        self.turned = threading.Event()

    def work(self) -> None:
        while not self.stopping.wait(0.001):
            self.turns += 1
            self.turned.set()
            if self.turns == self.most:
                raise ValueError("that is enough")


def test_it_works_while_it_is_entered_and_is_through_when_it_is_left() -> None:
    with _Counting() as counting:
        assert counting.turned.wait(30)
        counting.check()
    assert not [thread for thread in threading.enumerate() if thread.name == "counting"]


def test_what_ended_it_is_raised_where_it_is_asked_for_and_not_where_it_is_stopped() -> None:
    counting = _Counting(most=2).start()
    while counting.turns < 2:
        assert not counting.stopping.wait(0.001)
    counting.stop()
    with pytest.raises(ValueError, match="that is enough"):
        counting.check()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the threads of a process apart")
def test_what_gives_way_is_behind_the_rest_of_its_process_and_nothing_else_is() -> None:
    class Niceness(Background):
        def work(self) -> None:
            self.found = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found = []
    for gives_way in (True, False):
        with Niceness("niceness", gives_way=gives_way) as work:
            pass
        work.check()
        found.append(work.found)
    assert found == [min(ours + 5, 19), ours]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == ours


def test_where_the_system_forbids_to_give_way_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def forbidden(which: int, who: int, priority: int) -> None:
        asked.append(who)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    counting = _Counting(gives_way=True)
    with counting:
        assert counting.turned.wait(30)
        counting.check()
    assert len(asked) == (1 if sys.platform == "linux" else 0)
