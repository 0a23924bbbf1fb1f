from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from citywatch.errors import StoreError
from citywatch.records.chunk import rejected_schema
from citywatch.stores.desk import Desk

from .desks import in_a_file
from .facts import NOW


def records(*rows: dict[str, Any]) -> pa.Table:
    whole = [
        {
            "id": "r1",
            "source": "tickets.csv",
            "line": 12,
            "reason": "violation_code: 'abc' is no SMALLINT",
            "raw": b"1,abc,NY",
            "mapping": "nyc_tickets",
            "received_at": NOW,
            **row,
        }
        for row in rows
    ]
    schema = rejected_schema()
    loose = pa.schema([pa.field(f.name, pa.int64() if f.name == "received_at" else f.type) for f in schema])
    return pa.Table.from_pylist(whole, schema=loose).cast(schema)


def test_a_rejected_record_is_kept_with_line_reason_and_raw(desk: Desk) -> None:
    desk.put_rejected(records({}))
    (kept,) = desk.rejected()
    assert {name: kept[name] for name in ("id", "source", "line", "reason", "raw", "mapping", "count")} == {
        "id": "r1",
        "source": "tickets.csv",
        "line": 12,
        "reason": "violation_code: 'abc' is no SMALLINT",
        "raw": "1,abc,NY",
        "mapping": "nyc_tickets",
        "count": 1,
    }


def test_read_again_it_is_counted_again_and_kept_once(desk: Desk) -> None:
    desk.put_rejected(records({}))
    desk.put_rejected(records({"received_at": NOW + 5}, {"received_at": NOW - 5}))
    (kept,) = desk.rejected()
    assert (kept["count"], kept["first_seen"], kept["last_seen"]) == (3, NOW - 5, NOW + 5)


def test_they_are_listed_by_source_and_line(desk: Desk) -> None:
    rows = [
        {"id": f"r{n}", "line": line, "source": source}
        for n, (source, line) in enumerate([("b", 2), ("a", 9), ("b", 1)])
    ]
    desk.put_rejected(records(*rows))
    assert [(kept["source"], kept["line"]) for kept in desk.rejected()] == [("a", 9), ("b", 1), ("b", 2)]
    assert [kept["line"] for kept in desk.rejected(source="b")] == [1, 2]
    assert [kept["id"] for kept in desk.rejected(["r1"])] == ["r1"]


def test_bytes_that_are_no_text_come_back_as_they_were(desk: Desk) -> None:
    raw = b"\x00\xff broken \x80"
    desk.put_rejected(records({"raw": raw}))
    assert desk.rejected_raw("r1") == raw
    assert next(desk.rejected())["raw"] == "\x00\\xff broken \\x80"


@in_a_file
def test_a_record_over_a_mebibyte_lies_in_a_file_and_shows_its_head(desk: Desk) -> None:
    raw = b"x" * (1 << 20) + b"y"
    desk.put_rejected(records({"id": "big", "raw": raw}))
    desk.put_rejected(records({"id": "big", "raw": raw}))
    (kept,) = desk.rejected()
    assert (len(kept["raw"]), kept["size"], kept["count"]) == (4096, len(raw), 2)
    assert desk.rejected_raw("big") == raw
    assert [file.name for file in (desk.path.parent / "rejected").iterdir()] == ["big.raw"]


def test_what_a_replay_could_read_is_listed_no_more_until_it_is_rejected_again(desk: Desk) -> None:
    desk.put_rejected(records({}))
    desk.mark_replayed(["r1"], now=NOW)
    assert list(desk.rejected()) == []
    assert desk.rejected_count() == 0
    assert len(list(desk.rejected(replayed=True))) == 1
    desk.put_rejected(records({}))
    assert desk.rejected_count() == 1


def test_an_unknown_record_is_an_error_that_says_where_to_look(desk: Desk) -> None:
    with pytest.raises(StoreError, match="citywatch rejected list"):
        desk.rejected_raw("nothing")


@in_a_file
def test_records_are_told_in_the_order_in_which_they_were_kept_first_and_again_when_all_was_forgotten(
    desk: Desk,
) -> None:
    desk.put_rejected(records({"id": "a"}, {"id": "b"}))
    first = desk.rejected_since(0, 1)
    assert [record["id"] for _, record in first] == ["a"]
    desk.put_rejected(records({"id": "a"}, {"id": "c"}))
    rest = desk.rejected_since(first[-1][0], 10)
    assert [record["id"] for _, record in rest] == ["b", "c"]
    assert desk.rejected_since(rest[-1][0], 10) == []
    desk.forget_rows("rejected", 2**62)
    desk.put_rejected(records({"id": "d"}))
    assert [record["id"] for _, record in desk.rejected_since(rest[-1][0], 10)] == ["d"]
