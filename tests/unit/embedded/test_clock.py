"""The clock: the minimum over live sources, real time where nothing is left to read, never back."""

from __future__ import annotations

import numpy as np

from citywatch.engine.embedded.clock import BEGINNING, Clock


def test_a_bounded_run_is_one_source_and_moves_the_clock_by_itself() -> None:
    clock = Clock()
    assert clock.before("run", np.array([10, 30, 20])).tolist() == [BEGINNING, 10, 30]
    clock.hear("run", 30)
    assert clock.now == 30


def test_the_clock_is_kept_and_never_goes_back() -> None:
    clock = Clock(kept=100)
    assert clock.before("run", np.array([10, 150])).tolist() == [100, 100]
    clock.hear("run", 50)
    assert clock.now == 100


def test_the_slowest_live_source_decides() -> None:
    clock = Clock(kept=0)
    clock.register("a")
    clock.register("b")
    clock.hear("a", 100)
    assert clock.now == 0
    clock.hear("b", 60)
    assert clock.now == 60
    assert clock.before("b", np.array([200, 300])).tolist() == [60, 100]


def test_a_source_with_nothing_left_to_read_follows_real_time() -> None:
    clock = Clock(kept=0)
    clock.register("a")
    clock.register("b")
    clock.hear("a", 100)
    clock.idle("b", 500)
    assert clock.now == 100
    clock.idle("a", 500)
    assert clock.now == 500


def test_a_source_that_has_ended_is_waited_for_no_more() -> None:
    clock = Clock(kept=0)
    clock.register("a")
    clock.register("b")
    clock.hear("a", 100)
    clock.remove("b")
    clock.hear("a", 110)
    assert clock.now == 110


def test_what_people_say_does_not_move_the_clock() -> None:
    clock = Clock(kept=7)
    assert clock.before("", np.array([1, 99, 2])).tolist() == [7, 7, 7]
