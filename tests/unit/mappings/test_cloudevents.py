"""CloudEvents: what is required, when it happened, when it was received, and who it is."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mappings.intake import NOW, checked, chunk, cloudevent, only, only_reason, parser, reasons

PARSER = parser(mapped=True)


@pytest.mark.parametrize("name", ["id", "source", "type"])
@pytest.mark.parametrize("value", [None, ""])
def test_id_source_and_type_are_required(name: str, value: Any) -> None:
    assert only_reason(PARSER.parse(chunk([cloudevent(**{name: value})]))) == f"{name} is missing or empty"


@pytest.mark.parametrize("value", [True, {"a": 1}, ["a"]])
def test_an_attribute_is_a_text(value: Any) -> None:
    assert only_reason(PARSER.parse(chunk([cloudevent(subject=value)]))).startswith("subject: ")


def test_texts_that_look_like_json_are_texts() -> None:
    event = only(PARSER.parse(chunk([cloudevent({"label": "[a]", "address": "false"}, id="true", subject="{x}")])))
    assert (event["id"], event["subject"], event["label"], event["address"]) == ("true", "{x}", "[a]", "false")


def test_another_version_of_the_format_is_refused() -> None:
    assert only_reason(PARSER.parse(chunk([cloudevent(specversion="0.3")]))) == "specversion: 0.3 is not 1.0"


RFC3339 = [
    ("2026-05-04T11:00:00Z", datetime(2026, 5, 4, 11, tzinfo=UTC)),
    ("2026-05-04t11:00:00z", datetime(2026, 5, 4, 11, tzinfo=UTC)),
    ("2026-05-04T11:00:00.5Z", datetime(2026, 5, 4, 11, 0, 0, 500_000, tzinfo=UTC)),
    ("2026-05-04T11:00:00.123Z", datetime(2026, 5, 4, 11, 0, 0, 123_000, tzinfo=UTC)),
    ("2026-05-04T11:00:00.123456Z", datetime(2026, 5, 4, 11, 0, 0, 123_456, tzinfo=UTC)),
    ("2026-05-04T11:00:00.9999999Z", datetime(2026, 5, 4, 11, 0, 0, 999_999, tzinfo=UTC)),
    ("2026-05-04T13:30:00+02:30", datetime(2026, 5, 4, 11, tzinfo=UTC)),
    ("2026-05-03T11:00:00-23:59", datetime(2026, 5, 4, 10, 59, tzinfo=UTC)),
    ("1969-12-31T23:59:59.999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "moment"), RFC3339)
def test_time_is_rfc_3339_and_finer_than_a_microsecond_is_cut(text: str, moment: datetime) -> None:
    assert only(PARSER.parse(chunk([cloudevent(time=text)])))["time"] == moment


@pytest.mark.parametrize(
    "text",
    ["2026-05-04T11:00:00", "2026-05-04", "", "now", "2026-02-29T00:00:00Z", "2026-05-04T24:00:00Z",
     "2026-05-04T11:00Z",
     "2026-05-04T11:00:60Z", "2026-05-04T11:00:00+24:00", "2026-05-04T11:00:00.Z", "20260504T110000Z", "infinity",
     "2026-5-4T11:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000001Z",
     "9999-12-31T23:59:59Z", 1777636800, "2026-13-01T00:00:00Z", "２026-05-04T11:00:00Z"],
)  # fmt: skip
def test_what_is_no_rfc_3339_with_an_offset_is_refused(text: Any) -> None:
    assert only_reason(PARSER.parse(chunk([cloudevent(time=text)]))).startswith("time: ")


@checked
@given(st.datetimes(datetime(2, 1, 1), datetime(2026, 5, 4, 11), timezones=st.just(UTC)), st.sampled_from([0, 3, 6]))
def test_every_time_that_python_writes_is_read(moment: datetime, digits: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    fraction = f".{moment.microsecond:06}"[: digits + 1] if digits else ""
    text = f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}{fraction}Z"
    assert only(PARSER.parse(chunk([cloudevent(time=text)])))["time"] == moment


def test_a_file_says_when_its_records_were_received() -> None:
    event = only(PARSER.parse(chunk([cloudevent(receivedat="2026-05-04T11:59:59.5Z")])))
    assert event["received_at"] == datetime(2026, 5, 4, 11, 59, 59, 500_000, tzinfo=UTC)


def test_a_record_of_a_file_that_names_no_receipt_was_received_when_it_happened() -> None:
    event = only(PARSER.parse(chunk([cloudevent(time="2020-01-01T00:00:00Z")])))
    assert event["received_at"] == event["time"]
    assert (event["late"], event["stale"]) == (False, False)


def test_a_record_of_a_file_is_received_now_at_the_latest() -> None:
    event = only(PARSER.parse(chunk([cloudevent(time="2026-05-04T12:04:59Z")])))
    assert event["received_at"] == NOW


def test_a_live_record_is_received_now_whatever_it_claims() -> None:
    live = chunk([cloudevent(receivedat="1999-01-01T00:00:00Z")], replay=False, arrived=None)
    assert only(PARSER.parse(live))["received_at"] == NOW


def test_a_live_record_may_claim_nonsense() -> None:
    live = chunk([cloudevent(receivedat="yesterday")], replay=False, arrived=None)
    assert only(PARSER.parse(live))["received_at"] == NOW


def test_without_a_time_it_happened_when_the_file_was_written() -> None:
    modified = NOW - timedelta(days=3)
    event = only(PARSER.parse(chunk([cloudevent(time=None)], arrived=modified)))
    assert (event["time"], event["received_at"], event["late"]) == (modified, modified, False)


def test_without_a_time_it_happened_when_it_was_received() -> None:
    event = only(PARSER.parse(chunk([cloudevent(time=None, receivedat="2026-05-01T00:00:00Z")])))
    assert event["time"] == event["received_at"] == datetime(2026, 5, 1, tzinfo=UTC)


def test_a_named_day_begins_at_midnight_in_the_city() -> None:
    event = only(PARSER.parse(chunk([cloudevent(time=None)], day=date(2026, 5, 1))))
    assert event["time"] == datetime(2026, 5, 1, 4, tzinfo=UTC)
    assert event["time_precision"] == "day"


@pytest.mark.parametrize(("seconds", "late", "stale"), [(60, False, False), (61, True, False), (86_401, True, True)])
def test_late_and_stale_are_by_receipt_against_time(seconds: int, late: bool, stale: bool) -> None:
    happened = datetime(2026, 5, 1, tzinfo=UTC)
    received = happened + timedelta(seconds=seconds)
    event = only(PARSER.parse(chunk([cloudevent(time=happened.isoformat(), receivedat=received.isoformat())])))
    assert (event["late"], event["stale"]) == (late, stale)


def test_lateness_is_a_setting() -> None:
    line = cloudevent(time="2026-05-01T00:00:00Z", receivedat="2026-05-01T00:00:11Z")
    assert only(parser(lateness=10_000_000).parse(chunk([line])))["late"]


@pytest.mark.parametrize(("time", "fine"), [("2026-05-04T12:05:00Z", True), ("2026-05-04T12:05:00.000001Z", False)])
def test_an_event_of_the_future_is_refused(time: str, fine: bool) -> None:
    assert reasons(PARSER.parse(chunk([cloudevent(time=time)]))) == ([] if fine else ["time_in_future"])


def test_a_receipt_in_the_future_is_refused() -> None:
    line = cloudevent(receivedat="2026-05-04T12:05:00.1Z")
    assert only_reason(PARSER.parse(chunk([line]))) == "received_at_in_future"


def _identity(**attributes: Any) -> tuple[int, int]:
    event = only(PARSER.parse(chunk([cloudevent(**attributes)])))
    return event["ident_hi"], event["ident_lo"]


def test_identity_is_source_and_id_and_nothing_else() -> None:
    assert _identity() == _identity(time="2026-01-01T00:00:00Z", data={"a": 1}, type="other", subject="x")
    assert _identity(source="ab", id="c") != _identity(source="a", id="bc")
    assert _identity(source="a:b", id="c") != _identity(source="a", id="b:c")


def _fingerprint(line: str, **how: Any) -> int:
    return int(only(PARSER.parse(chunk([line], **how)))["fingerprint"])


def test_a_fingerprint_is_of_time_and_payload() -> None:
    one = cloudevent({"a": 1, "b": "x"})
    assert _fingerprint(one) == _fingerprint(one, replay=False)
    assert _fingerprint(one) == _fingerprint(one.replace(": ", ":"))
    assert _fingerprint(one) != _fingerprint(cloudevent({"a": 2, "b": "x"}))
    assert _fingerprint(one) != _fingerprint(cloudevent({"a": 1, "b": "x"}, time="2026-05-04T11:59:58Z"))
    assert _fingerprint(one) == _fingerprint(cloudevent({"a": 1, "b": "x"}, time="2026-05-04T13:59:59+02:00"))


def test_an_attribute_that_is_null_is_as_good_as_absent() -> None:
    bare = json.dumps({"id": "1", "source": "s", "type": "t"})
    for name in ("time", "subject", "data", "receivedat", "specversion"):
        said = json.dumps({"id": "1", "source": "s", "type": "t", name: None})
        assert only(PARSER.parse(chunk([said]))) == only(PARSER.parse(chunk([bare]))), name


def test_an_event_without_time_is_compared_without_it() -> None:
    line = cloudevent({"a": 1}, time=None)
    assert _fingerprint(line) == _fingerprint(line, arrived=NOW - timedelta(days=1))


def test_further_attributes_are_kept() -> None:
    event = only(PARSER.parse(chunk([cloudevent(traceparent="00-1", datacontenttype="application/json")])))
    assert json.loads(event["extensions"]) == {"traceparent": "00-1", "datacontenttype": "application/json"}
    assert only(PARSER.parse(chunk([cloudevent()])))["extensions"] is None


@pytest.mark.parametrize("data", ["text", 5, [1, 2], True])
def test_data_that_is_no_object_is_kept(data: Any) -> None:
    assert json.loads(only(PARSER.parse(chunk([cloudevent(data)])))["data"]) == data


BAD = {
    "": "not JSON",
    '{"specversion":"1.0","id":"1","sour': "not JSON",
    "\x00\x01\x02": "not JSON",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":1,}}': "not JSON: ",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a": [1, ]}}': "not JSON: ",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":NaN}}': "not JSON: NaN is no JSON number",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":[-Infinity]}': "not JSON: -Infinity is no ",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":[nAn]}': "not JSON: ",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","id":"2"}': "key 'id' stands twice",
    '{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"age":1,"age":2}}': "key 'age' stands twice in data",
    "null": "not JSON",
    "5": "not a JSON object with keys",
    "[1]": "not a JSON object with keys",
    "{}": "not a JSON object with keys",
    '{"hello":"world"}': "no mapping fits a record with hello",
}


@pytest.mark.parametrize(("line", "reason"), BAD.items())
def test_what_is_no_event_is_refused_with_its_reason(line: str, reason: str) -> None:
    assert only_reason(PARSER.parse(chunk([line]))).startswith(reason)


def test_words_that_look_like_no_numbers_are_fine() -> None:
    text = 'nan, info :inf [nan] "NaN" , }'
    assert only(PARSER.parse(chunk([cloudevent({"label": text})])))["label"] == text


def test_nesting_without_end_is_refused_and_its_neighbours_are_read() -> None:
    deep = '{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + "[" * 1_000_000 + "]" * 1_000_000 + "}"
    parsed = PARSER.parse(chunk([cloudevent(id="a"), deep, cloudevent(id="b")]))
    assert reasons(parsed) == ["nested deeper than 64 levels"]
    assert parsed.events["id"].to_pylist() == ["a", "b"]


def test_wide_is_not_deep() -> None:
    assert only(PARSER.parse(chunk([cloudevent({"rows": [[]] * 1000, "text": "[" * 1000})])))["data"]


def test_bytes_that_are_no_utf8_are_refused_and_kept() -> None:
    parsed = PARSER.parse(chunk([cloudevent(id="a"), b'{"id":"\xe9"}', cloudevent(id="b")]))
    assert reasons(parsed) == ["not UTF-8: byte 0xE9 at 8"]
    assert parsed.rejected["raw"].to_pylist() == [b'{"id":"\xe9"}']
    assert parsed.events["id"].to_pylist() == ["a", "b"]


def test_a_refused_record_has_the_same_id_when_it_is_read_again() -> None:
    first, second = (PARSER.parse(chunk(["x", "y"], name=name)).rejected for name in ("a/f.ndjson", "b/f.ndjson"))
    assert first["id"].to_pylist() == second["id"].to_pylist()
    assert len(set(first["id"].to_pylist())) == 2


@checked
@given(st.lists(st.binary(max_size=40) | st.text(max_size=40).map(str.encode), max_size=5))
def test_no_bytes_make_the_parser_fail_or_lose_a_record(lines: list[bytes]) -> None:
    assert PARSER.parse(chunk(lines)).read == len(lines)


SQUARE = {"b": shapely.box(-74, 40, -73, 41), "a": shapely.box(-73.5, 40.5, -73, 41), "far": shapely.box(0, 0, 1, 1)}


@pytest.mark.parametrize(
    ("lat", "lon", "names"),
    [
        (40.2, -73.9, ["b"]),
        (40.7, -73.2, ["a", "b"]),
        (41, -73, ["a", "b"]),
        (50, 0, []),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_zones_hold_their_borders(lat: float | None, lon: float | None, names: list[str] | None) -> None:
    assert only(parser(SQUARE).parse(chunk([cloudevent({"lat": lat, "lon": lon})])))["zones"] == names


def test_a_position_without_zones_is_in_none() -> None:
    assert only(PARSER.parse(chunk([cloudevent({"lat": 1, "lon": 2})])))["zones"] == []


@pytest.mark.parametrize(
    "halves", [r"\ud83d", r"\uDE00", r"\ud83d x", r"\ud83d\ud83d\ude00", r"\\\ud83d", r"\ude00\ud83d"]
)
def test_half_of_a_character_is_named_with_its_place(halves: str) -> None:
    line = f'{{"specversion":"1.0","id":"1","source":"s","type":"t","data":{{"é":"{halves}"}}}}'
    half = re.findall(r"\\u[0-9a-fA-F]{4}", halves)[0]
    parsed = parser().parse(chunk([line, cloudevent()]))
    assert len(parsed.events) == 1
    assert reasons(parsed) == [
        f"not JSON: {half} at {line.index(half) + 1} is half of a character, and the other half is missing"
    ]


@pytest.mark.parametrize("whole", [r"\ud83d\ude00", r"\\ud83d", r"\u00e9", r"\ud7ff\ue000"])
def test_characters_that_are_whole_are_read(whole: str) -> None:
    line = f'{{"specversion":"1.0","id":"1","source":"s","type":"t","data":{{"é":"{whole}"}}}}'
    assert json.loads(only(parser().parse(chunk([line])))["data"]) == json.loads(line)["data"]


def test_a_byte_order_mark_before_a_record_is_passed_over_wherever_it_stands() -> None:
    mark = b"\xef\xbb\xbf"
    lines = [cloudevent(id=str(n)).encode() for n in range(4)]
    parsed = parser().parse(chunk([mark + lines[0], lines[1], mark + lines[2], mark + mark + lines[3], mark, mark[:2]]))
    assert parsed.events["id"].to_pylist() == ["0", "1", "2"]
    assert reasons(parsed) == ["not JSON", "not JSON", "not UTF-8: byte 0xEF at 1"]
    assert parsed.rejected["raw"].to_pylist() == [mark + mark + lines[3], mark, mark[:2]], "kept as it was sent"
