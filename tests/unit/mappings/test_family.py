"""Messages of the older systems' siblings, of cameras and of plate readers: each is known by its fields alone."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from citywatch.errors import MappingError
from citywatch.mappings import cloudevents
from citywatch.mappings.load import load_mappings, read_mapping
from citywatch.mappings.model import Mapping, Sample
from citywatch.mappings.parse import Parser
from citywatch.mappings.samples import NOW, sample_chunk
from citywatch.mappings.statements import Statements
from citywatch.records.chunk import Format
from citywatch.records.csv_rows import column_name
from citywatch.settings import Settings
from citywatch.sources import open_source
from tests.unit.mappings.intake import chunk, cloudevent, micros, only, parse_sample, reasons

SIBLINGS = (
    "uuid-drone place-drone record-drone stat-drone image-drone sensor-drone assist-drone line-drone peace-report"
    " camera-event cctv-event cctv-telemetry plate-event speed-camera"
).split()
DEVICES = (
    "frigate-events frigate-reviews onvif-frame onvif-event openalpr plate-recognizer dahua-anpr hikvision-anpr".split()
)
MAPPINGS = load_mappings()
SEED = Path(os.environ.get("CITYWATCH_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "seed"
EACH = pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda mapping: mapping.name)


class _Reader:
    """All mappings at once, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 0
        self.parser = Parser(Settings(), MAPPINGS, clock=lambda: self.now, threads=1)

    def at(self, text: str) -> Parser:
        self.now = micros(datetime.fromisoformat(text))
        return self.parser


READER = _Reader()


def test_every_shape_of_the_family_is_shipped() -> None:
    assert {"prestacop", "safety-watcher", *SIBLINGS, *DEVICES} <= {mapping.name for mapping in MAPPINGS}


@EACH
def test_it_shows_five_messages_some_of_them_wrong(mapping: Mapping) -> None:
    assert len(mapping.samples) >= 5
    assert sum(bool(sample.events) for sample in mapping.samples) >= 3
    assert sum(len(sample.rejected) for sample in mapping.samples) >= 2


def test_a_message_of_more_events_than_memory_holds_is_refused_and_its_neighbours_are_read() -> None:
    def report(persons: int) -> str:
        heard = [{"firstname": f"{n}", "lastname": "x" * 100, "harmonyscore": 1} for n in range(persons)]
        return json.dumps({"droneId": "p1", "latitude": 40.7, "longitude": -73.9, "persons": heard})

    parsed = READER.at("2026-05-01T12:00:00Z").parse(chunk([report(n) for n in (1, 1000, 2, 200)]))
    (reason,) = reasons(parsed)
    assert reason.startswith("1,000 events of a message of 1")
    assert parsed.rows is not None
    assert Counter(parsed.rows.tolist()) == {0: 1, 2: 2, 3: 200}


def _records(mapping: Mapping, sample: Sample) -> Iterator[dict[str, Any]]:
    """The messages of a sample that can be read, rows of CSV by the names of their columns."""
    part, lines = sample_chunk(sample, 0), sample.raw.splitlines()
    if part.format is Format.JSON:
        yield from (json.loads(line) for line in lines if line.endswith("}"))
        return
    for row in csv.reader(lines[1:] if part.header else lines, delimiter=part.delimiter):
        layouts = {len(layout): layout for layout in mapping.layouts}
        yield dict(zip(map(column_name, part.header or layouts.get(len(row), ())), row, strict=False))


def _value(record: Any, key: str) -> Any:
    for part in key.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


@EACH
def test_in_one_of_its_messages_something_is_missing_by_which_it_is_known(mapping: Mapping) -> None:
    messages = [message for sample in mapping.samples for message in _records(mapping, sample)]
    missing = [
        keys
        for keys in mapping.required
        if any(all(_value(message, key) in (None, "") for key in keys) for message in messages)
    ]
    assert missing != []


ENDS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("confidence", "plate_confidence"), (0, 1)),
    **dict.fromkeys(("x", "y"), (1, 100)),
    "battery": (0, 100),
    "lat": (-90, 90),
    "lon": (-180, 180),
    "severity": (1, 5),
    "speed_kmh": (0,),
    "time": ("1970-01-01T00:00:00Z",),
}
"""Of what has a scale, where it ends."""
BEYOND = re.compile(r": -?[0-9.]+ is no(t| DOUBLE) within |: [0-9]{5,} is no (SMALLINT|INTEGER)|time_in_future")


@EACH
def test_one_of_its_messages_stands_at_the_end_of_a_scale_or_beyond_it(mapping: Mapping) -> None:
    events = [event for sample in mapping.samples for event in sample.events]
    at_ends = [name for event in events for name, ends in ENDS.items() if event.get(name) in ends]
    beyond = [reason for sample in mapping.samples for reason in sample.rejected if BEYOND.search(reason)]
    assert at_ends + beyond != []


WRONG = re.compile(r"\bis no\b|\bis not\b|\bis none of\b|\bare no\b")


@EACH
def test_one_of_its_messages_is_refused_for_what_stands_there(mapping: Mapping) -> None:
    assert [reason for sample in mapping.samples for reason in sample.rejected if WRONG.search(reason)] != []


@EACH
def test_each_of_its_messages_is_recognised_as_its_own(mapping: Mapping) -> None:
    for sample in mapping.samples:
        named = parse_sample(mapping, sample)
        arrived = sample.arrived or NOW
        found = READER.at(arrived).parse(sample_chunk(sample, READER.now))
        assert found.events.to_pylist() == named.events.to_pylist(), sample.name
        for alone, given in zip(reasons(found), reasons(named), strict=True):
            unknown = given.startswith(f"no {mapping.name} message: lacks")
            assert alone.startswith("no mapping fits a record with") if unknown else alone == given, sample.name


def _raws(samples: tuple[Sample, ...]) -> Iterator[str]:
    return (line for sample in samples if sample.events for line in sample.raw.splitlines() if line.startswith("{"))


def _joined(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    both = one | two
    for key in one.keys() & two.keys():
        if isinstance(one[key], dict) and isinstance(two[key], dict):
            both[key] = _joined(one[key], two[key])
    return both


JSON_MESSAGES = {
    mapping.name: json.loads(raw)
    for mapping in MAPPINGS
    if Format.JSON in mapping.formats and (raw := next(_raws(mapping.samples), None))
}


def test_no_message_fits_two_mappings() -> None:
    texts = [json.dumps(message) for message in JSON_MESSAGES.values()]
    parsed = READER.at(NOW).parse(chunk(texts))
    assert [reason for reason in reasons(parsed) if "fits" in reason] == []


def test_a_message_with_the_fields_of_two_is_an_error_that_names_both() -> None:
    none: frozenset[str] = frozenset()
    absent = {mapping.name: mapping.absent for mapping in MAPPINGS}
    messages = {**JSON_MESSAGES, cloudevents.NAME: json.loads(cloudevent())}
    pairs = [
        (one, two)
        for one, two in combinations(messages, 2)
        if not (absent.get(one, none) & messages[two].keys() or absent.get(two, none) & messages[one].keys())
    ]
    assert len(pairs) > 200
    texts = [json.dumps(_joined(messages[one], messages[two])) for one, two in pairs]
    found = reasons(READER.at(NOW).parse(chunk(texts)))
    assert len(found) == len(pairs)
    for (one, two), reason in zip(pairs, found, strict=True):
        words = reason.split(":")[0].split()
        assert reason.startswith("fits the mappings ") and one in words and two in words, (one, two, reason)


def test_frigates_two_topics_are_told_apart_by_a_key_inside_of_after() -> None:
    lines = [json.dumps(JSON_MESSAGES[name]) for name in ("frigate-events", "frigate-reviews", "frigate-events")]
    parsed = READER.at(NOW).parse(chunk([*lines, '{"type":"new","before":null,"after":null}']))
    assert parsed.events["label"].to_pylist() == ["person_detected", "review_alert", "person_detected"]
    assert reasons(parsed) == ["no mapping fits a record with after, before, type"]


def test_a_named_mapping_asks_for_its_inner_keys_too() -> None:
    parsed = READER.at(NOW).parse(chunk([json.dumps(JSON_MESSAGES["frigate-reviews"])]), "frigate-events")
    assert reasons(parsed) == ["no frigate-events message: lacks after.label"]


@pytest.mark.data
@pytest.mark.skipif(not SEED.is_dir(), reason=f"the older systems' messages are not in {SEED}")
def test_the_five_broken_lines_among_the_fifteen_of_the_older_producer_are_refused() -> None:
    (source,) = open_source(str(SEED / "prestacop_drone_messages_with_corrupt.txt"))
    parsed = [READER.at(NOW).parse(part) for part in source.chunks()]
    events = pa.concat_tables([part.events for part in parsed]).to_pylist()
    refused = [(row["line"], row["reason"]) for part in parsed for row in part.rejected.to_pylist()]
    assert Counter(event["type"] for event in events) == {
        "drone.position": 4, "drone.violation": 4, "device.status": 2
    }  # fmt: skip
    assert refused == [
        (2, "no mapping fits a record with age, name"),
        (5, "no mapping fits a record with age, name"),
        (8, "drone_latitude and drone_longitude are missing"),
        (11, "one of drone_latitude and drone_longitude is missing"),
        (15, "no mapping fits a record with age, name"),
    ]
    assert [(e["violation_code"], e["needs_human"]) for e in events if e["type"] == "drone.violation"] == [
        (None, True), (2, False), (None, True), (1, False)
    ]  # fmt: skip


def _read(path: Path, mapping: str | None = None) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    (source,) = open_source(str(path))
    parsed = [READER.at(NOW).parse(part, mapping) for part in source.chunks()]
    events = [event for part in parsed for event in part.events.to_pylist()]
    return events, [(row["line"], row["reason"]) for part in parsed for row in part.rejected.to_pylist()]


def test_rows_without_a_header_are_known_by_their_number_of_columns(tmp_path: Path) -> None:
    file = tmp_path / "drones.csv"
    file.write_text("\n7,40.7,-73.9\n7,40.7,-73.9,1777636800,81,,21\r\n8,40.7,-73.9,1777636801,81,,21,999,i\n")
    events, refused = _read(file)
    assert [event["source"] for event in events] == ["drone/7", "drone/8"]
    assert refused == [(2, "3 columns where line-drone has 7 or 9")]


def test_columns_that_only_a_mapping_of_json_knows_are_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "status.csv"
    file.write_text("camera_id,ts,uptime_sec,storage_free_pct,temperature_c\n1,1777636800,5,50,20\n")
    with pytest.raises(MappingError, match=r"; cctv-telemetry would, but for its format: write format: \[json, csv\]"):
        _read(file)


def test_rows_without_a_header_that_no_mapping_knows_are_an_error_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("1,2,3\n")
    with pytest.raises(MappingError, match="no mapping fits rows of 3 columns without a header"):
        _read(file)
    with pytest.raises(MappingError, match="nyc-tickets needs a header of columns"):
        _read(file, "nyc-tickets")
    assert _read(file, "line-drone") == ([], [(1, "3 columns where line-drone has 7 or 9")])


def test_identical_lines_without_a_header_are_different_events() -> None:
    mapping = next(m for m in MAPPINGS if m.name == "line-drone")
    sample = Sample("twice", mapping.place, "7,40.7,-73.9,1777636800,81,,21\n" * 2, (), ())
    assert len(set(parse_sample(mapping, sample).events["id"].to_pylist())) == 2


def test_an_image_inside_of_a_message_is_named_by_the_hash_of_its_bytes() -> None:
    image = JSON_MESSAGES["image-drone"]["image"]
    content = base64.b64decode(image)
    event = only(READER.at(NOW).parse(chunk([json.dumps(JSON_MESSAGES["image-drone"])])))
    assert event["image_id"] == hashlib.sha256(content).hexdigest()
    assert json.loads(event["data"])["image"] == image


def test_a_person_of_a_report_does_not_carry_the_others() -> None:
    line = json.dumps({
        "droneId": "p1", "longitude": 1, "latitude": 2, "words": ["x"], "time": 1777636800,
        "persons": [{"firstname": "Ada"}, {"firstname": "Bo"}],
    })  # fmt: skip
    parsed = READER.at(NOW).parse(chunk([line]))
    assert [json.loads(str(text))["persons"] for text in parsed.events["data"].to_pylist()] == [
        [{"firstname": "Ada"}], [{"firstname": "Bo"}]
    ]  # fmt: skip
    assert len(set(parsed.events["id"].to_pylist())) == 2


def test_a_record_that_is_refused_is_refused_once_however_many_events_it_would_be() -> None:
    line = '{"droneId":"p","persons":[{"firstname":"A"},{"firstname":"B"}],"time":"noon"}'
    parsed = READER.at(NOW).parse(chunk([line]))
    assert reasons(parsed) == ["time: noon is no time"]


TIMES = {
    "1777636800": "2026-05-01T12:00:00+00:00",
    "1777636800.1234567": "2026-05-01T12:00:00.123456+00:00",
    "1777636800123": "2026-05-01T12:00:00.123000+00:00",
    "2026-05-01T12:00:00": "2026-05-01T16:00:00+00:00",
    "2026-05-01 12:00": "2026-05-01T16:00:00+00:00",
    "2026-01-01 12:00:00.5": "2026-01-01T17:00:00.500000+00:00",
    "2026-05-01T12:00:00.123456789Z": "2026-05-01T12:00:00.123456+00:00",
    "2026-05-01T14:00:00+0200": "2026-05-01T12:00:00+00:00",
}


@pytest.mark.parametrize(("text", "moment"), TIMES.items())
def test_a_time_is_exact_in_each_of_its_forms(text: str, moment: str) -> None:
    line = json.dumps({"event_id": "e", "camera_id": "c", "event_type": "motion", "ts": text})
    assert only(READER.at(NOW).parse(chunk([line])))["time"].isoformat() == moment


@pytest.mark.parametrize(
    "text", ["-", " ", "0x10", "1e9", "2026-05-01", "2026-02-29T00:00:00Z", "2026-05-01T24:30:00", "x"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    line = json.dumps({"event_id": "e", "camera_id": "c", "type": "motion", "ts": text})
    assert reasons(READER.at(NOW).parse(chunk([line]))) == [f"ts: {text} is no time since 1970"]


@pytest.mark.parametrize("value", [None, True, 7, "x", [], {}, [[]], [None], {"a": 1}, "[", 1e300, "\x00", "9" * 400])
def test_no_value_in_any_place_kills_the_reading(value: Any) -> None:
    lines = [
        json.dumps(message | {key: value}) for message in JSON_MESSAGES.values() for key in message
    ]  # fmt: skip
    parsed = READER.at(NOW).parse(chunk(lines))
    assert parsed.events.num_rows + parsed.rejected.num_rows >= len(lines)


def test_an_expression_that_two_others_share_may_fail_in_both() -> None:
    statements = Statements(duckdb.connect())
    name = statements.table("records", pa.table({"f": ["none", '{"a":1}']}))
    sql = f"SELECT TRY(coalesce(f ->> '$.a', f ->> '$.b')) AS x, TRY(f ->> '$.a') AS y FROM {name}"
    for _ in range(2):
        assert statements.run(sql).to_pylist() == [{"x": None, "y": None}, {"x": "1", "y": "1"}]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("{whole: a, part: a.b}", "a is read whole and by its keys"),
        ("{one: a.Uuid, two: a.uuid}", "a.uuid and a.Uuid differ in case only"),
        ("{nth: a}", "nth is taken"),
    ],
)
def test_fields_that_cannot_be_read_together_are_a_mistake(tmp_path: Path, fields: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        f"name: wrong\ntitle: x\nrecognise: [a]\nfields: {fields}\n"
        "to: {type: \"'t'\", source: \"'s'\", id: content_id}\n"
    )
    with pytest.raises(MappingError, match=said):
        read_mapping(file)
