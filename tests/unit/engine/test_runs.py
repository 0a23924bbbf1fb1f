"""Sorted runs answer as a plain reading of the rows does."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from citywatch.engine.runs import BEGINNING, Run, Runs, count_between, earliest, last_before, ranges, search

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=60)


def runs_of(rows: list[tuple[int, int]], cut: list[int]) -> list[Run]:
    """Rows cut by time into runs, as the watermark cuts them."""
    kept = Runs()
    edges = [-1, *sorted(cut), 99]
    for low, high in itertools.pairwise(edges):
        part = sorted((k, t, i) for i, (k, t) in enumerate(rows) if low < t <= high)
        columns = [np.array([row[n] for row in part]) for n in range(3)]
        kept.append(
            Run(columns[0].astype(np.uint64), columns[1].astype(np.int64), columns[2].astype(np.int64)), BEGINNING
        )
    return kept.runs


@given(ROWS, st.lists(st.integers(0, 30), max_size=4), st.integers(-2, 32), st.integers(-2, 32))
def test_a_count_is_the_number_of_rows_in_the_window(
    rows: list[tuple[int, int]], cut: list[int], after: int, until: int
) -> None:
    after, until = min(after, until), max(after, until)
    keys = np.arange(4).astype(np.uint64)
    counts = count_between(runs_of(rows, cut), keys, np.full(4, after), np.full(4, until))
    assert counts.tolist() == [sum(k == key and after < t <= until for k, t in rows) for key in range(4)]


@given(ROWS, st.lists(st.integers(0, 30), max_size=4), st.integers(-2, 32), st.sampled_from(["left", "right"]))
def test_the_last_row_before_a_time_is_found_in_whatever_run_it_is(
    rows: list[tuple[int, int]], cut: list[int], at: int, side: str
) -> None:
    keys = np.arange(4).astype(np.uint64)
    found = last_before(runs_of(rows, cut), keys, np.full(4, at), side, column=lambda run: run.t)
    times = [[t for k, t in rows if k == key and (t < at or (t == at and side == "right"))] for key in range(4)]
    assert found.tolist() == [max(t, default=BEGINNING) for t in times]


@given(ROWS, st.lists(st.integers(0, 30), max_size=4), st.integers(-2, 32), st.integers(1, 5))
def test_the_earliest_rows_of_a_window_come_in_order(
    rows: list[tuple[int, int]], cut: list[int], after: int, limit: int
) -> None:
    keys = np.arange(4).astype(np.uint64)
    owner, ref = earliest(runs_of(rows, cut), keys, np.full(4, after), np.full(4, 99), limit)
    for key in range(4):
        wanted = sorted((t, i) for i, (k, t) in enumerate(rows) if k == key and t > after)[:limit]
        assert ref[owner == key].tolist() == [i for _, i in wanted]


@given(ROWS, st.lists(st.integers(0, 30), max_size=8))
def test_a_run_is_several_times_as_long_as_the_next(rows: list[tuple[int, int]], cut: list[int]) -> None:
    runs = runs_of(rows, cut)
    assert all(len(a) >= 4 * len(b) for a, b in itertools.pairwise(runs))
    assert sum(map(len, runs)) == len(rows)


def test_runs_that_no_question_reaches_are_dropped() -> None:
    kept = Runs()
    for t in range(0, 1000, 10):
        times = np.arange(t, t + 10)
        kept.append(Run(np.zeros(10, np.uint64), times, times), keep_from=t - 50)
    assert len(kept) < 150
    assert count_between(kept.runs, np.zeros(1, np.uint64), np.array([949]), np.array([999])).tolist() == [50]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(-1, 10), min_size=1, max_size=10))
def test_search_within_a_segment_is_searchsorted(values: list[int], wanted: list[int]) -> None:
    array, want = np.sort(np.array(values, np.int64)), np.array(wanted)
    start, end = np.zeros(len(want), np.int64), np.full(len(want), len(array))
    for side in ("left", "right"):
        assert search(array, start, end, want, side).tolist() == np.searchsorted(array, want, side).tolist()


def test_ranges_are_joined() -> None:
    assert ranges(np.array([3, 10, 7]), np.array([2, 0, 3])).tolist() == [3, 4, 7, 8, 9]
