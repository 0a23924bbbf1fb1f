"""Events that do not fit into memory come back in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citywatch.stores.sorter import Sorter

KEYS = ["received_at", "time", "source", "id"]
ROW = st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("aéZ\U0001f600\uffff"), st.sampled_from("12"))


def table(rows: list[tuple[int, int, str, str]], start: int = 0) -> pa.Table:
    columns: list[Any] = list(zip(*rows, strict=True)) or [[]] * 4
    time = pa.timestamp("us", tz="UTC")
    types = [time, time, pa.string(), pa.string()]
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return pa.table([*arrays, pa.array(range(start, start + len(rows)))], names=[*KEYS, "n"])


def in_order(rows: list[tuple[int, int, str, str]]) -> list[int]:
    return sorted(range(len(rows)), key=lambda n: (*rows[n][:2], rows[n][2].encode(), rows[n][3].encode()))


def through(directory: Path, rows: list[tuple[int, int, str, str]], cut: int, memory: int, out: int) -> list[pa.Table]:
    with Sorter(directory, KEYS, memory=memory) as sorter:
        for start in range(0, len(rows), cut):
            sorter.add(table(rows[start : start + cut], start))
        return list(sorter.batches(out))


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(ROW, max_size=40), cut=st.integers(1, 9), memory=st.sampled_from([1, 300, 1 << 20]))
def test_any_input_comes_back_in_key_order_and_equal_keys_as_added(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, str, str]], cut: int, memory: int
) -> None:
    found = through(tmp_path_factory.mktemp("sort"), rows, cut, memory, out=7)
    assert [n for part in found for n in part.column("n").to_pylist()] == in_order(rows)


def test_more_runs_than_are_merged_at_once(tmp_path: Path) -> None:
    rows = [(1000 - n, 0, "a", str(n)) for n in range(300)]
    found = through(tmp_path, rows, cut=1, memory=1, out=50)
    assert [n for part in found for n in part.column("n").to_pylist()] == list(range(299, -1, -1))


def test_runs_longer_than_a_piece_with_many_equal_keys(tmp_path: Path) -> None:
    rows = [(n % 3, 0, "a", "1") for n in range(9000)]
    found = through(tmp_path, rows, cut=3000, memory=1, out=1000)
    assert [n for part in found for n in part.column("n").to_pylist()] == in_order(rows)


def test_input_in_order_is_not_sorted_and_one_run_is_grown(tmp_path: Path) -> None:
    rows = [(n, 0, "a", "1") for n in range(5000)]
    with Sorter(tmp_path, KEYS, memory=1) as sorter:
        for start in range(0, len(rows), 500):
            sorter.add(table(rows[start : start + 500], start))
        assert len(list(tmp_path.iterdir())) == 1
        assert [len(part) for part in sorter.batches(2000)] == [2000, 2000, 1000]


def test_input_nearly_in_order_makes_one_run(tmp_path: Path) -> None:
    rows = [(n + 9 * (n % 3), 0, "a", "1") for n in range(5000)]
    with Sorter(tmp_path, KEYS, memory=40_000) as sorter:
        for start in range(0, len(rows), 100):
            sorter.add(table(rows[start : start + 100], start))
        assert len(list(tmp_path.iterdir())) == 1
        assert [n for part in sorter.batches(999) for n in part.column("n").to_pylist()] == in_order(rows)


@settings(max_examples=50, deadline=None)
@given(held=st.lists(st.booleans(), max_size=12), memory=st.sampled_from([1, 300, 1 << 20]))
def test_columns_that_are_null_for_a_while_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, held: list[bool], memory: int
) -> None:
    kinds = [pa.string(), pa.float64(), pa.bool_(), pa.int16(), pa.list_(pa.string()), pa.timestamp("us", tz="UTC")]
    values: list[Any] = ["é", 0.5, True, -1, ["a", None], 7]

    def row(n: int) -> pa.Table:
        said = [pa.array([value if held[n] else None], kind) for value, kind in zip(values, kinds, strict=True)]
        fields = {f"f{at}": array for at, array in enumerate(said)}
        return pa.table({**{name: table([(-n, 0, "a", "1")])[name] for name in KEYS}, **fields})

    with Sorter(tmp_path_factory.mktemp("sort"), KEYS, memory=memory) as sorter:
        for n in range(len(held)):
            sorter.add(row(n))
        found = [line for part in sorter.batches(5) for line in part.to_pylist()]
    assert found == [row(n).to_pylist()[0] for n in reversed(range(len(held)))]


def test_its_files_are_removed(tmp_path: Path) -> None:
    through(tmp_path, [(5 - n, 0, "a", "1") for n in range(5)], cut=1, memory=1, out=2)
    assert list(tmp_path.iterdir()) == []
