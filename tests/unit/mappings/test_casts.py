"""Casts are strict: what a field takes is what this plain reading of the contract takes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citywatch.event import BY_NAME, batch_schema
from citywatch.mappings.drafts import SENT
from tests.unit.mappings.intake import checked, chunk, cloudevent, only, only_reason, parser, reasons

PARSER = parser()
_LIMITS = {"SMALLINT": 15, "INTEGER": 31, "TINYINT": 7}
REFUSED = object()


def plainly(name: str, value: Any) -> Any:
    """What the column is for a JSON value, or REFUSED."""
    sql = BY_NAME[name].sql
    if value is None:
        return None
    if sql == "VARCHAR[]":
        return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else REFUSED
    if sql == "BOOLEAN":
        return {"true": True, "false": False}.get(json.dumps(value).strip('"'), REFUSED)
    if isinstance(value, (list, dict, bool)):
        return REFUSED
    text = str(value)
    return _number(name, sql, text) if sql != "VARCHAR" else plate(text) if name == "plate" else text


def _number(name: str, sql: str, text: str) -> Any:
    if sql in _LIMITS:
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            return REFUSED
        limit = 1 << _LIMITS[sql]
        return int(text) if -limit <= int(text) < limit else REFUSED
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return REFUSED
    number = float(text)
    highest = {"lat": 90.0, "lon": 180.0}.get(name, math.inf)
    return number if math.isfinite(number) and abs(number) <= highest else REFUSED


def plate(text: str) -> str | None:
    return "".join(c for c in text.upper() if c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") or None


TEXTS = st.sampled_from(
    ["", " ", "7", "-7", "+7", " 7", "7 ", "3.7", "1e3", "1_000", "0x10", "nan", "inf", "-inf", "true", "false", "True",
     "[]", "{}", "[1]", '["a"]', "null", "1.", ".5", ".", "e5", "1e999", "70000", "91", "-90", "180.0001", "k-1", "ß"]
) | st.text(max_size=6)  # fmt: skip
VALUES = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.integers()
    | st.decimals(-1000, 1000, places=3).map(float)
    | st.lists(TEXTS, max_size=2)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=1)
)
EVENTS = st.lists(st.dictionaries(st.sampled_from(SENT), VALUES, max_size=4), min_size=1, max_size=8)


@checked
@given(EVENTS)
def test_every_field_casts_as_a_plain_reading_does(datas: list[dict[str, Any]]) -> None:
    lines = [cloudevent(data, id=str(number)) for number, data in enumerate(datas)]
    parsed = PARSER.parse(chunk(lines))
    expected = [{name: plainly(name, value) for name, value in json.loads(line)["data"].items()} for line in lines]
    good = [(str(n), row) for n, row in enumerate(expected) if REFUSED not in row.values()]
    events = parsed.events.to_pylist()
    assert [event["id"] for event in events] == [number for number, _ in good]
    for event, (_, row) in zip(events, good, strict=True):
        assert {name: event[name] for name in row} == row
    assert parsed.read == len(lines)


@pytest.mark.parametrize("value", [3.7, True, "1_000", "0x10", "", "3.0", 1e3, " 5", "5 ", "٣", [5], {"a": 5}, 40000])
def test_an_integer_field_refuses(value: Any) -> None:
    reason = only_reason(PARSER.parse(chunk([cloudevent({"violation_code": value})])))
    assert reason.startswith("violation_code: ")
    assert reason.endswith(" is no SMALLINT")


@pytest.mark.parametrize(("value", "cast"), [(46, 46), ("46", 46), ("+46", 46), ("-1", -1), ("007", 7), (None, None)])
def test_an_integer_field_takes(value: Any, cast: int | None) -> None:
    assert only(PARSER.parse(chunk([cloudevent({"violation_code": value})])))["violation_code"] == cast


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-inf", "1e999", "", "1_0.5", "0x1p3", True, " 1.5"])
def test_a_number_field_refuses(value: Any) -> None:
    assert only_reason(PARSER.parse(chunk([cloudevent({"value": value})]))).startswith("value: ")


@pytest.mark.parametrize(
    ("name", "value"), [("lat", 90.0001), ("lat", -91), ("lon", 180.5), ("lon", -181), ("lat", 160)]
)
def test_a_position_beyond_the_earth_is_refused(name: str, value: float) -> None:
    limit = {"lat": 90, "lon": 180}[name]
    assert (
        only_reason(PARSER.parse(chunk([cloudevent({name: value})]))) == f"{name}: {value} is no DOUBLE within ±{limit}"
    )


@pytest.mark.parametrize(
    ("plate", "kept"),
    [("k-1", "K1"), (" ab 12 ", "AB12"), ("--", None), ("", None), ("é1", "1"), (17, "17"), ("straße", "STRASSE")],
)
def test_a_plate_keeps_letters_and_digits(plate: Any, kept: str | None) -> None:
    assert only(PARSER.parse(chunk([cloudevent({"plate": plate})])))["plate"] == kept


def test_all_that_is_wrong_is_said_at_once() -> None:
    reason = only_reason(PARSER.parse(chunk([cloudevent({"lat": 160, "age": "old"}, id="")])))
    assert reason == "id is missing or empty; lat: 160 is no DOUBLE within ±90; age: old is no SMALLINT"


def test_a_long_value_is_shortened_in_the_reason() -> None:
    reason = only_reason(PARSER.parse(chunk([cloudevent({"age": "x" * 1000})])))
    assert len(reason) < 200
    assert "…" in reason


def test_one_bad_event_never_refuses_its_neighbours() -> None:
    lines = [cloudevent({"age": age}, id=str(n)) for n, age in enumerate([1, "x", 3])]
    parsed = PARSER.parse(chunk(lines))
    assert parsed.events["age"].to_pylist() == [1, 3]
    assert parsed.rejected["line"].to_pylist() == [2]


def test_unknown_fields_stay_in_data_with_every_digit() -> None:
    data = '{"big":123456789012345678901234567890,"s":"1.50"}'
    line = '{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + data + "}"
    assert only(PARSER.parse(chunk([line])))["data"] == data


def test_derived_fields_are_not_taken_from_a_sender() -> None:
    event = only(PARSER.parse(chunk([cloudevent({"zones": ["school"], "local_hour": 99, "timeframe": 5})])))
    assert event["zones"] is None


def test_a_batch_has_the_columns_of_the_engine() -> None:
    assert PARSER.parse(chunk([cloudevent()])).events.schema == batch_schema()
    assert PARSER.parse(chunk([])).events.schema == batch_schema()


def test_many_shapes_in_one_chunk_keep_their_order() -> None:
    lines = [cloudevent({SENT[n % len(SENT)]: None, f"k{n}": n}, id=str(n)) for n in range(500)]
    assert PARSER.parse(chunk(lines)).events["id"].to_pylist() == [str(n) for n in range(500)]
    assert reasons(PARSER.parse(chunk(lines))) == []
