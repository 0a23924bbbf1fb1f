"""The city's events in the shapes of other systems, read back as those systems' messages are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from citywatch.cli.simulate import messages_of
from citywatch.mappings.load import load_mappings
from citywatch.mappings.model import Mapping
from citywatch.mappings.parse import Parser
from citywatch.mappings.render import as_file, render
from citywatch.mappings.samples import sample_chunk
from citywatch.records.chunk import Parsed
from citywatch.settings import DAY
from citywatch.sources import open_source

from .host import SETTINGS, START, parsed

WRITTEN = [mapping for mapping in load_mappings() if mapping.returns is not None]
KEPT = frozenset({"device_id", "plate", "needs_human", "violation_code", "label"})
"""Fields that mean the same in every shape that has a word for them."""
OTHERWISE = {"frigate-reviews": {"label"}}
"""Fields that a shape has other words for: what Frigate saw is a detection or an alert to review."""


@pytest.fixture(scope="module")
def city() -> pa.Table:
    """Three minutes of the city as it is stored; pictures would only make it slow."""
    return pa.concat_tables([part.events for part in parsed("sim://city?duration=3m&images=0&rate=40")])


def read_back(lines: list[str], mapping: Mapping) -> Parsed:
    """What the reader of that shape makes of its messages, a day later."""
    file = sample_chunk(replace(mapping.samples[0], raw=as_file(lines, mapping), date=None), START + DAY)
    return Parser(SETTINGS, [mapping], threads=1).parse(file, mapping.name)


def values(events: pa.Table, name: str) -> Counter[object]:
    """How often each value of a field comes; who needs no human needs none, said or not."""
    return Counter(value for value in events[name].to_pylist() if value not in (None, False))


@pytest.mark.parametrize("mapping", WRITTEN, ids=lambda mapping: mapping.name)
def test_what_the_city_writes_in_a_shape_is_read_as_the_same(mapping: Mapping, city: pa.Table) -> None:
    messages = render(city, mapping).to_pylist()
    sent = city.filter(pa.array([message is not None for message in messages]))
    back = read_back([str(message) for message in messages if message is not None], mapping)
    assert len(sent) > 0
    assert [row["reason"] for row in back.rejected.to_pylist()] == []
    assert values(back.events, "type") == values(sent, "type")
    for name in KEPT.difference(OTHERWISE.get(mapping.name, ())):
        assert values(back.events, name) <= values(sent, name)


@pytest.mark.parametrize("name", ["prestacop", "safety-watcher", "openalpr", "stat-drone", "onvif-frame"])
def test_what_is_left_out_unread_would_have_given_no_message(name: str) -> None:
    (mapping,) = (mapping for mapping in WRITTEN if mapping.name == name)
    (source,) = open_source("sim://city?duration=1m&images=0&rate=40")
    chunks, parser, written = list(source.chunks()), Parser(SETTINGS, threads=1), messages_of(mapping)
    expected = [text for chunk in chunks for text in render(parser.parse(chunk).events, mapping).to_pylist() if text]
    assert [text for chunk in chunks for text in written(chunk).to_pylist()] == expected
    assert expected


def test_every_shape_of_the_family_can_be_written() -> None:
    family = """prestacop safety-watcher uuid-drone place-drone record-drone stat-drone image-drone sensor-drone
        assist-drone line-drone peace-report camera-event cctv-event cctv-telemetry plate-event speed-camera
        frigate-events frigate-reviews onvif-event onvif-frame hikvision-anpr dahua-anpr openalpr plate-recognizer
        nyc-tickets"""
    assert set(family.split()) <= {mapping.name for mapping in WRITTEN}
