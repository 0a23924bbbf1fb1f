"""What holds for every mapping that is shipped, found by the loader itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from citywatch.mappings.load import load_mappings, mapping_files, shipped
from citywatch.mappings.model import Mapping
from citywatch.mappings.parse import Parser
from citywatch.mappings.render import as_file, render
from citywatch.mappings.samples import NOW, failures, sample_chunk
from citywatch.settings import Settings
from tests.unit.mappings.intake import chunk, micros, parse_sample, reasons

MAPPINGS = load_mappings(judged=True)
EACH = pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda mapping: mapping.name)
LATER = micros(datetime.fromisoformat(NOW))
READER = Parser(Settings(), MAPPINGS, clock=lambda: LATER, threads=1)
"""Reads at the time at which samples are read."""


def test_the_shapes_of_the_older_systems_and_of_the_city_are_there() -> None:
    names = {mapping.name for mapping in MAPPINGS}
    assert {"prestacop", "safety-watcher", "nyc-tickets", "sf-police-calls", "nypd-calls"} <= names
    assert len(mapping_files([shipped()])) == len(MAPPINGS)


@EACH
def test_its_samples_become_what_they_say(mapping: Mapping) -> None:
    assert [str(failure) for failure in failures(mapping)] == []


@EACH
def test_it_has_a_sample_that_is_read_and_one_that_is_refused(mapping: Mapping) -> None:
    assert any(sample.events for sample in mapping.samples)
    assert any(sample.rejected for sample in mapping.samples)


@EACH
def test_its_records_are_recognised_among_all_mappings(mapping: Mapping) -> None:
    for sample in mapping.samples:
        if sample.events:
            parsed = READER.parse(sample_chunk(sample, LATER))
            assert parsed.events.num_rows == len(sample.events), reasons(parsed)


@EACH
def test_its_events_written_as_cloudevents_are_the_same_events(mapping: Mapping) -> None:
    for sample in mapping.samples:
        before = parse_sample(mapping, sample).events.to_pylist()
        after = READER.parse(chunk([_cloudevent(event) for event in before]))
        assert reasons(after) == []
        assert [_known(event) for event in after.events.to_pylist()] == [_known(event) for event in before]


def _known(event: dict[str, Any]) -> dict[str, Any]:
    """The event; one that came without a time is compared without it, and when it is printed it has one."""
    timeless = event["time"] == event["received_at"]
    return {name: value for name, value in event.items() if not (timeless and name == "fingerprint")}


def _cloudevent(event: dict[str, Any]) -> str:
    attributes = {name: event[name] for name in ("id", "source", "type", "subject") if event[name] is not None}
    times = {"time": event["time"].isoformat(), "receivedat": event["received_at"].isoformat()}
    precision = {"timeprecision": event["time_precision"]}
    return json.dumps({"specversion": "1.0", **attributes, **times, **precision, "data": json.loads(event["data"])})


@pytest.mark.parametrize("mapping", [m for m in MAPPINGS if m.returns], ids=lambda mapping: mapping.name)
def test_what_it_writes_it_reads(mapping: Mapping) -> None:
    for sample in mapping.samples:
        events = parse_sample(mapping, sample).events
        messages = render(events, mapping).to_pylist()
        written = {number: str(message) for number, message in enumerate(messages) if message is not None}
        if written:
            raw = as_file(written.values(), mapping)
            again = READER.parse(sample_chunk(replace(sample, raw=raw), LATER), mapping)
            assert again.events["type"].to_pylist() == events["type"].take(pa.array(list(written))).to_pylist()


def test_two_mappings_that_fit_are_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"name: {name}\ntitle: x\nrecognise: [a]\nfields: {{a: }}\n"
                        "to: {type: \"'t'\", source: \"'s'\", id: a}\n")  # fmt: skip
    twins = Parser(Settings(), load_mappings([tmp_path]), threads=1)
    assert reasons(twins.parse(chunk(['{"a":"1"}']))) == [
        "fits the mappings one and two: name one of them with --mapping"
    ]
    assert twins.parse(chunk(['{"a":"1"}']), "two").events.num_rows == 1


def test_a_named_mapping_refuses_what_it_does_not_know() -> None:
    parsed = READER.parse(chunk(['{"a":"1"}']), "prestacop")
    assert reasons(parsed) == ["no prestacop message: lacks address, time, drone_id or plate_id"]


def test_identical_lines_of_a_file_are_different_events_and_a_file_sent_twice_adds_nothing() -> None:
    line = '{"plate_id":"A","address":"1 Main St","time":"01/24/2017 1003A","violation_code":"38"}'
    first = READER.parse(chunk([line, line + " ", line])).events["id"].to_pylist()
    again = READER.parse(chunk([line, line, line], name="copy")).events["id"].to_pylist()
    assert len(set(first)) == 3
    assert first == again


def test_one_record_may_become_several_events(tmp_path: Path) -> None:
    (tmp_path / "crowd.yaml").write_text(
        "name: crowd\ntitle: x\nrecognise: [people]\nfields: {who: people, key: id}\n"
        "to:\n"
        "  - {each: \"from_json(who, '[\\\"VARCHAR\\\"]')\", type: \"'person.report'\", source: \"'s'\","
        " id: \"concat(key, '-', item)\", fields: {first_name: item}}\n"
        "  - {when: \"who = '[]'\", type: \"'empty'\", source: \"'s'\", id: key}\n"
    )  # fmt: skip
    crowd = Parser(Settings(), load_mappings([tmp_path]), threads=1)
    parsed = crowd.parse(chunk(['{"id":1,"people":["a","b"]}', '{"id":2,"people":[]}', '{"id":3,"people":null}']))
    assert parsed.events["id"].to_pylist() == ["1-a", "1-b", "2"]
    assert reasons(parsed) == ["the mapping crowd makes no event of it"]
    assert parsed.read == 4
