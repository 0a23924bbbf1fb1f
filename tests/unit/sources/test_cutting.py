"""Bytes are cut into records with their line, whatever the blocks in which they come."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from citywatch.records import oversize
from citywatch.records.columns import listed, one_array
from citywatch.records.csv_rows import (
    MOST_COLUMNS,
    Header,
    column_names,
    cut_rows,
    read_header,
    split_columns,
    split_row,
)
from citywatch.records.json_items import cut_items
from citywatch.records.lines import Cut, cut_lines

Record = tuple[int, bytes]
checked = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
THREE = Header(("a", "b", "c"), ",")


def _blocks(content: bytes, size: int) -> list[bytes]:
    return [content[i : i + size] for i in range(0, len(content), size)]


def _cut(cuts: Iterator[Cut]) -> tuple[list[Record], list[dict[str, Any]]]:
    records: list[Record] = []
    faults: list[dict[str, Any]] = []
    for cut in cuts:
        records += zip(listed(cut.records["line"]), listed(cut.records["raw"]), strict=True)
        faults += cut.faults.to_pylist()
    return records, faults


@checked
@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b'"', b"\xff", b"\x00"]), max_size=30),
    st.integers(1, 9),
)
def test_lines_do_not_depend_on_blocks_and_none_is_lost(parts: list[bytes], size: int) -> None:
    content = b"".join(parts)
    expected = [(n, line) for n, line in enumerate(content.split(b"\n"), start=1) if line.strip()]
    records, faults = _cut(cut_lines(_blocks(content, size)))
    assert [(line, raw.removesuffix(b"\n")) for line, raw in records] == expected
    assert faults == []


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_line_that_is_too_long_is_a_fault_and_its_neighbours_are_read(size: int) -> None:
    content = b"first\n" + b"x" * 5000 + b"\nlast"
    records, (fault,) = _cut(cut_lines(_blocks(content, size), longest=100))
    assert records == [(1, b"first\n"), (3, b"last\n")]
    assert fault["line"] == 2
    assert fault["reason"] == "longer than 100 bytes: 5,000"
    assert fault["raw"] == b"x" * 5000


@pytest.mark.parametrize("size", [1, 3, 100, 101, 102, 1000])
def test_how_long_is_too_long_does_not_depend_on_blocks(size: int) -> None:
    content = b"a" * 100 + b"\n" + b"b" * 101 + b"\n" + b"c" * 101
    records, faults = _cut(cut_lines(_blocks(content, size), longest=100))
    assert [line for line, _ in records] == [1]
    assert [(fault["line"], fault["reason"]) for fault in faults] == [
        (2, "longer than 100 bytes: 101"),
        (3, "longer than 100 bytes: 101"),
    ]


def test_a_line_of_100_mb_is_kept_whole_and_takes_bounded_memory() -> None:
    """It lies in a file without a name, which its bytes are mapped from."""
    tracemalloc.start()
    try:
        cuts = list(cut_lines(b"y" * (1 << 20) for _ in range(100)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    raws = [raw for cut in cuts for raw in cut.faults["raw"]]
    assert [len(memoryview(raw.as_buffer())) for raw in raws] == [100 << 20]
    assert peak < 40 << 20


def test_of_a_line_without_end_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oversize, "LARGEST", 150)
    _, (fault,) = _cut(cut_lines([b"z" * 90] * 5, longest=100))
    assert (fault["reason"], fault["raw"]) == ("longer than 100 bytes: 450; the first 150 are kept", b"z" * 150)


def test_a_stream_that_breaks_off_makes_its_last_line_a_fault() -> None:
    records, (fault,) = _cut(cut_lines([b"one\ntw"], broken=lambda: "cable cut"))
    assert records == [(1, b"one\n")]
    assert fault == {"line": 2, "reason": "cable cut", "raw": b"tw"}


def _rows(content: bytes, size: int = 1 << 20) -> list[Record]:
    return _cut(cut_rows(_blocks(content, size), THREE, first=2))[0]


def _values(content: bytes) -> tuple[list[list[str | None]], dict[int, str]]:
    records, _ = _cut(cut_rows([content], THREE, first=2))
    columns = split_columns(
        one_array(pa.chunked_array([pa.array([r for _, r in records], pa.binary())])), list("abc"), ","
    )
    rows = [list(row.values()) for row in columns.table.to_pylist()]
    return rows, {records[row][0]: reason for row, reason in columns.faults.items()}


cells = st.text(st.sampled_from('ab,"\n é'), max_size=5)


@checked
@given(st.lists(st.tuples(cells, cells, cells), max_size=8), st.integers(1, 20))
def test_what_a_csv_writer_writes_is_read(rows: list[tuple[str, str, str]], size: int) -> None:
    rows = [row for row in rows if any(row)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(rows)
    content = out.getvalue().encode()
    assert _rows(content, size) == _rows(content)
    values, faults = _values(content)
    # a quoted value that holds a whole row is not told from an open quote: then the rows are refused, never joined
    if not faults:
        assert values == [[cell or None for cell in row] for row in rows]


@checked
@given(
    st.lists(
        st.sampled_from(["1,2,3", "1,2", '"', '1,"a', 'b",3', '"x""y",2,3', '5" pipe,2,3', "", "1,2,3,4"]), max_size=9
    )
)
def test_every_line_of_any_csv_is_in_one_record(lines: list[str]) -> None:
    content = "\n".join(lines).encode()
    records = _rows(content)
    covered = b"".join(raw for _, raw in records).replace(b"\n", b"").replace(b"\r", b"")
    assert covered == content.replace(b"\n", b"")
    assert records == _rows(content, 3)


signs = st.sampled_from(['"', ",", "a", "é", "\r", "\n", " ", "\ufeff"])


@checked
@given(st.lists(st.text(signs, max_size=9), min_size=1, max_size=6))
@example(['""x,y",,"\n', "1,2,3\n"])
@example(["\ufeff1,2,3\n", "4,5,6\n"])
@example(['"a"b,"c",d\n', '5" x 6",2,3\n'])
@example(["1,2\r3,4,5\n", "1,2,3"])
@example(["a\rb", ""])
def test_rows_split_together_as_each_does_alone(rows: list[str]) -> None:
    raw = pa.array([row.encode() for row in rows], pa.binary())
    columns = split_columns(raw, list("abc"), ",")
    found = dict(zip(columns.rows.tolist(), (list(row.values()) for row in columns.table.to_pylist()), strict=True))
    for number, row in enumerate(rows):
        alone = split_row(row.encode(), ",")
        if alone is None:
            assert columns.faults[number] == "a quote is left open"
        elif len(alone) != 3:
            assert columns.faults[number] == f"{len(alone)} columns where the header has 3"
        else:
            assert found.pop(number) == [value or None for value in alone]
    assert found == {}


def test_a_value_may_hold_line_ends_and_blank_lines() -> None:
    content = b'1,"two\n\nlines",3\r\n4,5,6\n'
    assert _rows(content) == [(2, b'1,"two\n\nlines",3\r\n'), (5, b"4,5,6\n")]
    assert _values(content)[0] == [["1", "two\n\nlines", "3"], ["4", "5", "6"]]


def test_a_quote_left_open_refuses_its_line_and_swallows_nothing() -> None:
    rows, faults = _values(b'1,2,3\n4,"open,6\n7,8,9\n' + b"1,2,3\n" * 500)
    assert faults == {3: "a quote is left open"}
    assert len(rows) == 502


def test_two_open_quotes_do_not_join_the_rows_between_them() -> None:
    rows, faults = _values(b'1,"open,3\n4,5,6\n7,open",9\n')
    assert rows == [["4", "5", "6"], ["7", 'open"', "9"]]
    assert faults == {2: "a quote is left open"}


def test_a_quote_open_at_the_very_end_is_refused() -> None:
    rows, faults = _values(b'1,2,3\n4,5,"end')
    assert rows == [["1", "2", "3"]]
    assert faults == {3: "a quote is left open"}


@pytest.mark.parametrize(("row", "found"), [(b"1,2\n", 2), (b"1,2,3,4\n", 4), (b"1\n", 1), (b'"1,2",3\n', 2)])
def test_a_row_of_another_width_is_refused(row: bytes, found: int) -> None:
    assert _values(b"1,2,3\n" + row + b"4,5,6\n") == (
        [["1", "2", "3"], ["4", "5", "6"]],
        {3: f"{found} columns where the header has 3"},
    )


def test_a_stray_quote_inside_of_a_value_is_a_character() -> None:
    assert _values(b'1,5" pipe,3\n4,6" pipe,6\n')[0] == [["1", '5" pipe', "3"], ["4", '6" pipe', "6"]]


@checked
@given(st.lists(cells, min_size=1, max_size=4))
def test_one_row_splits_as_the_csv_module_splits_it(row: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(row)
    assert split_row(out.getvalue().encode(), ",") == next(csv.reader(io.StringIO(out.getvalue(), newline="")))


@pytest.mark.parametrize(
    "spelled", ["Vehicle Make", "vehicle_make", "Vehicle.Make", " Vehicle  Make ", "VEHICLE-MAKE", "Vehicle Make    "]
)
def test_a_column_has_one_name_however_it_is_spelled(spelled: str) -> None:
    assert column_names([spelled]) == ["vehicle_make"]


def test_columns_without_a_name_and_of_one_name_stay_apart() -> None:
    assert column_names(["", "a", "A ", ""]) == ["_1", "a", "a_3", "_4"]
    assert column_names(["a_3", "a", "a"]) == ["a_3", "a", "a_3_3"]


def test_a_header_of_more_columns_than_any_file_has_is_refused_at_once() -> None:
    fine = b",".join(b"c%d" % number for number in range(MOST_COLUMNS))
    assert len(read_header(fine).names) == MOST_COLUMNS
    with pytest.raises(ValueError, match=r"1,000,000 columns, more than 1,000"):
        read_header(b"a" + b",a" * 999_999)


@pytest.mark.parametrize(
    ("line", "delimiter"), [(b"a,b", ","), (b"a;b;c", ";"), (b"a\tb", "\t"), (b"a|b", "|"), (b"a", ",")]
)
def test_the_delimiter_is_seen_in_the_header(line: bytes, delimiter: str) -> None:
    assert read_header(line).delimiter == delimiter


@pytest.mark.parametrize("line", [b"", b'"a,b', b"\xff\xfe,\x00"])
def test_what_is_no_header_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|utf-8"):
        read_header(line)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=6)


@checked
@given(objects, st.sampled_from([None, 1]), st.integers(1, 30))
def test_an_array_of_objects_is_cut_into_them(items: list[Any], indent: int | None, size: int) -> None:
    content = json.dumps(items, indent=indent).encode()
    records, faults = _cut(cut_items(_blocks(content, size)))
    assert [json.loads(raw) for _, raw in records] == items
    assert faults == []


@checked
@given(objects, st.sampled_from(["", "\n", " \n\n"]), st.integers(1, 30))
def test_objects_one_after_another_are_cut(items: list[Any], between: str, size: int) -> None:
    content = between.join(json.dumps(item, indent=1) for item in items).encode()
    assert [json.loads(raw) for _, raw in _cut(cut_items(_blocks(content, size)))[0]] == items


def test_an_item_has_the_line_where_it_begins() -> None:
    records, _ = _cut(cut_items([b'\n[\n {"a":\n1},\n {"b":2}\n]']))
    assert [line for line, _ in records] == [3, 5]


def test_an_item_that_is_never_closed_swallows_nothing() -> None:
    content = b'[{"a":1},\n{"b":2,\n{"c":3},\n{"d":"open},\n{"e":5}]'
    records, faults = _cut(cut_items([content]))
    assert [raw for _, raw in records] == [b'{"a":1}', b'{"c":3}', b'{"e":5}']
    assert [(fault["line"], fault["reason"]) for fault in faults] == [(2, "never closed"), (4, "never closed")]


@pytest.mark.parametrize("content", [b"]", b"}", b"[[[[", b'{"a', b"[1,2", b"x", b"[}{]", b'"'])
@pytest.mark.parametrize("size", [1, 100])
def test_garbage_is_a_record_or_a_fault_but_never_nothing(content: bytes, size: int) -> None:
    records, faults = _cut(cut_items(_blocks(content, size)))
    assert records or faults
