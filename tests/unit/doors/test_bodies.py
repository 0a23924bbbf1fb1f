"""A body becomes records by its media type, each with its number in the request."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from citywatch.records.chunk import Chunk, Format, Origin
from citywatch.records.columns import listed
from citywatch.records.json_items import array_items, cut_items
from citywatch.sources.http import bodies
from citywatch.sources.http.bodies import BodyError, counted
from citywatch.sources.http.wire import LARGEST

ORIGIN = Origin("http/x", replay=False)
EVENT = b'{"specversion":"1.0","id":"1","source":"s","type":"t"}'
BATCH = "application/cloudevents-batch+json"


def events(body: bytes, media: str = "application/cloudevents+json", **headers: str) -> Chunk:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return bodies.events({"content-type": media, **said}, body, ORIGIN)


def foreign(body: bytes, media: str, **headers: str) -> Chunk:
    return bodies.foreign({"content-type": media, **headers}, body, ORIGIN)


def raws(chunk: Chunk) -> list[bytes]:
    return [raw.strip() for raw in listed(chunk.records["raw"])]


def lines(chunk: Chunk) -> list[int]:
    return listed(chunk.records["line"])


def refused(status: int, say: Any) -> str:
    with pytest.raises(BodyError) as caught:
        say()
    assert caught.value.status == status
    return str(caught.value)


def test_structured_mode_is_one_record_over_any_number_of_lines() -> None:
    body = json.dumps(json.loads(EVENT), indent=2).encode()
    assert raws(events(body)) == [body]
    assert raws(events(body, "application/cloudevents+json; charset=UTF-8")) == [body]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", EVENT + EVENT, b"\xff"])
def test_structured_mode_wants_one_object(body: bytes) -> None:
    refused(400, lambda: events(body))


def test_batch_mode_is_an_array_of_records() -> None:
    chunk = events(b"[%s,\n %s , 3]" % (EVENT, EVENT), BATCH)
    assert (raws(chunk), lines(chunk)) == ([EVENT, EVENT, b"3"], [1, 2, 3])
    assert raws(events(b" [ ] ", BATCH)) == []
    refused(400, lambda: events(EVENT, BATCH))
    refused(400, lambda: events(b"  ", BATCH))


def test_of_an_array_that_is_cut_off_the_whole_items_are_records() -> None:
    chunk = events(b'[%s, {"a":1}, {"b":' % EVENT, BATCH)
    assert (raws(chunk), lines(chunk)) == ([EVENT, b'{"a":1}'], [1, 2])
    assert chunk.faults is not None
    assert chunk.faults.to_pylist() == [{"line": 3, "reason": "never closed", "raw": b'{"b":'}]


def test_a_fault_between_records_has_its_number_among_them() -> None:
    chunk = foreign(b'{"a":\n"open\n\n{"b":2}\n\n{"c":3}', "application/json")
    assert chunk.faults is not None
    assert listed(chunk.faults["line"]) + lines(chunk) == [1, 2, 3]


def test_lines_are_numbered_without_the_blank_ones() -> None:
    chunk = events(b"\xef\xbb\xbf" + EVENT + b"\r\n\r\n  \n{\n" + EVENT, "application/x-ndjson")
    assert (raws(chunk), lines(chunk)) == ([EVENT, b"{", EVENT], [1, 2, 3])


def test_plain_json_is_taken_for_what_it_looks_like() -> None:
    assert len(raws(events(EVENT, "application/json"))) == 1
    assert len(raws(events(b"[%s,%s]" % (EVENT, EVENT), "application/json"))) == 2
    assert len(raws(events(EVENT + b"\n" + EVENT, "application/json"))) == 2
    assert len(raws(foreign(b"[{},{}]", "application/vnd.camera+json"))) == 2


class TestBinaryMode:
    @staticmethod
    def one(body: bytes, media: str, **more: str) -> Any:
        headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t", **more}
        (raw,) = raws(events(body, media, **headers))
        return json.loads(raw)

    def test_attributes_are_in_headers_and_the_body_is_the_data(self) -> None:
        event = self.one(b' {"value": 3} ', "application/json", ce_time="2026-05-01T12:00:00Z", ce_traceid="a%20b")
        assert event == {
            "specversion": "1.0",
            "id": "1",
            "source": "s",
            "type": "t",
            "time": "2026-05-01T12:00:00Z",
            "traceid": "a b",
            "datacontenttype": "application/json",
            "data": {"value": 3},
        }

    def test_values_are_percent_encoded_and_may_be_quoted(self) -> None:
        assert self.one(b"", "", ce_subject="Caf%C3%A9 %E2%82%AC")["subject"] == "Café €"
        assert self.one(b"", "", ce_subject='"a \\"b\\" c"')["subject"] == 'a "b" c'

    def test_bytes_that_are_not_encoded_are_utf_8_or_else_latin_1(self) -> None:
        assert self.one(b"", "", ce_subject="Café €".encode().decode("latin-1"))["subject"] == "Café €"
        assert self.one(b"", "", ce_subject="Café")["subject"] == "Café"

    def test_other_data_is_text_or_base64(self) -> None:
        assert self.one("é".encode(), "text/plain")["data"] == "é"
        assert self.one(b"\x00\xff", "image/jpeg")["data_base64"] == "AP8="
        assert "data" not in self.one(b"", "application/json")

    def test_a_body_that_is_not_what_it_says_is_refused(self) -> None:
        for body in (b"{", b'1,"id":"another"', b"\xff"):
            refused(400, lambda body=body: self.one(body, "application/json"))

    def test_no_header_can_be_the_data(self) -> None:
        assert self.one(b"3", "application/json", ce_data="4")["data"] == 3

    def test_a_structured_event_is_one_whatever_the_headers_say(self) -> None:
        assert raws(events(EVENT, ce_specversion="1.0")) == [EVENT]


def test_csv_has_a_header_and_its_rows_are_numbered() -> None:
    chunk = foreign(b'a;"b;c"\r\n1;2\r\n\r\n"x\ny";4\r\n', "text/csv; charset=utf-8")
    assert (chunk.format, chunk.header, chunk.delimiter) == (Format.CSV, ("a", "b;c"), ";")
    assert (raws(chunk), lines(chunk)) == ([b"1;2", b'"x\ny";4'], [1, 2])
    assert foreign(b"a,b\n", "text/csv").records.num_rows == 0
    refused(400, lambda: foreign(b"\x00\x01\n1\n", "text/csv"))


@pytest.mark.parametrize("media", ["", "application/octet-stream", "text/plain"])
def test_a_foreign_body_that_does_not_say_what_it_is_is_looked_at(media: str) -> None:
    assert foreign(b"a,b\n1,2\n", media).format is Format.CSV
    assert foreign(b'{"a":1}\n{"a":2}\n', media).format is Format.JSON


def test_what_cannot_be_read_here_is_told_apart_from_what_is_broken() -> None:
    assert "application/xml" in refused(415, lambda: foreign(b"<a/>", "application/xml"))
    refused(415, lambda: events(EVENT, "application/x-www-form-urlencoded"))
    refused(415, lambda: events(EVENT, ""))
    refused(415, lambda: events(EVENT, "application/cloudevents+json; charset=cp1252"))
    refused(415, lambda: foreign(b"{}", "application/json", **{"content-encoding": "br"}))
    refused(400, lambda: foreign(b"x", "application/json"))


def test_a_packed_body_is_unpacked_and_not_beyond_bounds() -> None:
    packed = {"content_encoding": "gzip"}
    assert raws(events(gzip.compress(EVENT), **packed)) == [EVENT]
    refused(400, lambda: events(EVENT, **packed))
    refused(400, lambda: events(gzip.compress(EVENT)[:-9], **packed))
    refused(413, lambda: events(gzip.compress(b" " * (LARGEST + 1)), **packed))
    # What is packed twice stays packed: it is no JSON.
    refused(400, lambda: events(gzip.compress(gzip.compress(EVENT)), **packed))


def test_a_csv_of_lines_without_end_is_refused_before_they_are_looked_at() -> None:
    assert "1,000,001 lines" in refused(413, lambda: foreign(b"a,b\n" + b"\n" * 1_000_000, "text/csv"))


def test_the_older_site_takes_json_and_forms() -> None:
    def posted(body: bytes, media: str) -> list[bytes]:
        return raws(bodies.posted({"content-type": media}, body, ORIGIN))

    assert posted(b'{"drone_id":4}', "application/x-www-form-urlencoded") == [b'{"drone_id":4}']
    assert posted(b'{"drone_id":4}', "") == [b'{"drone_id":4}']
    (raw,) = posted(b"drone_id=4&address=1+Main+St", "application/x-www-form-urlencoded")
    assert json.loads(raw) == {"drone_id": "4", "address": "1 Main St"}


class TestOrdinals:
    CHUNK = bodies.foreign({"content-type": "text/csv"}, b"a,b\n1,2\n3,4\n 1,2 \n1,2\n", ORIGIN)

    @staticmethod
    def of(chunk: Chunk) -> list[int]:
        assert chunk.ordinals is not None
        return [int(ordinal) for ordinal in chunk.ordinals]

    @staticmethod
    def said(text: str) -> dict[int, int] | None:
        return bodies.ordinals({"citywatch-ordinals": text})

    def test_a_request_that_says_nothing_is_a_file_by_itself(self) -> None:
        assert self.of(counted(self.CHUNK, bodies.ordinals({}))) == [0, 0, 1, 2]

    def test_the_sender_has_the_last_word(self) -> None:
        assert self.of(counted(self.CHUNK, self.said("0:5 3:7"))) == [5, 0, 0, 7]
        assert self.of(counted(self.CHUNK, self.said(""))) == [0, 0, 0, 0]

    @pytest.mark.parametrize(
        "said", ["0", "a:b", "0:1:2", "0:1,2:3", "0:99999999999999999999", "0:-1", "-1:1", "0:+1", "0:1_0", "0:١"]
    )
    def test_nonsense_is_refused(self, said: str) -> None:
        refused(400, lambda: self.said(said))


@given(st.binary(max_size=30) | st.text('[]{},:" 1a\n\\é', max_size=30).map(str.encode))
@example(b"[1,2]")
@example(b'["\\"]", {"a": [1]}]')
@example(b"[1,]")
def test_the_quick_way_over_an_array_gives_what_the_exact_one_gives_or_nothing(body: bytes) -> None:
    quick = array_items(body)
    if quick is not None:
        cuts = list(cut_items([body]))
        assert [raw for cut in cuts for raw in listed(cut.records["raw"])] == quick
        assert not any(len(cut.faults) for cut in cuts)
