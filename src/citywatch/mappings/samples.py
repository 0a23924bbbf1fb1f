"""Run the samples of a mapping: each is a test, in words when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from citywatch.mappings.model import Mapping, Sample
from citywatch.mappings.parse import Parser
from citywatch.mappings.render import as_file, render
from citywatch.records.chunk import Chunk, Format, Origin, Parsed
from citywatch.records.columns import listed
from citywatch.records.csv_rows import cut_rows, read_header
from citywatch.records.lines import cut_lines
from citywatch.settings import Settings

NOW = "2027-01-01T00:00:00+00:00"
"""The time at which samples are read, unless they say when they arrived."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that did not become what it says."""

    sample: Sample
    what: str

    def __str__(self) -> str:
        return f"{self.sample.place}: {self.sample.name}: {self.what}"


def failures(mapping: Mapping) -> list[Failure]:
    """What is wrong with the samples of `mapping`; empty when all pass."""
    reader = SampleReader(mapping)
    return [Failure(sample, what) for sample in mapping.samples for what in _wrong(reader, sample)]


class SampleReader:
    """Reads the samples of one mapping with one parser, each at the time at which it arrived."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._arrived = 0
        self._parser = Parser(Settings(), [mapping], clock=lambda: self._arrived, threads=1)

    def parse(self, sample: Sample) -> Parsed:
        """What the mapping makes of a sample."""
        self._arrived = _micros(sample.arrived or NOW)
        return self._parser.parse(sample_chunk(sample, self._arrived), self.mapping)


def sample_chunk(sample: Sample, arrived: int) -> Chunk:
    """The record of a sample as a file holds it; `arrived` is its modification time, µs UTC."""
    day = date.fromisoformat(sample.date) if sample.date else None
    origin = Origin(sample.name, arrived, date=day)
    content = sample.raw.encode()
    if content.lstrip().startswith(b"{"):
        return Chunk(origin, Format.JSON, pa.concat_tables([cut.records for cut in cut_lines([content])]))
    first, _, rest = content.partition(b"\n")
    header = read_header(first)
    rows, line, names = (content, 1, None) if header.is_row else (rest, 2, header.names)
    records = pa.concat_tables([cut.records for cut in cut_rows([rows], header, first=line)])
    return Chunk(origin, Format.CSV, records, names, delimiter=header.delimiter)


def _wrong(reader: SampleReader, sample: Sample) -> Iterator[str]:
    mapping, parsed = reader.mapping, reader.parse(sample)
    events, reasons = parsed.events.to_pylist(), listed(parsed.rejected["reason"])
    if len(events) != len(sample.events):
        yield f"{len(events)} events instead of {len(sample.events)}; rejected: {reasons}"
        return
    for event, expected in zip(events, sample.events, strict=True):
        yield from _differences(event, expected)
    if len(reasons) != len(sample.rejected):
        yield f"rejected are {reasons}, expected {list(sample.rejected)}"
        return
    for reason, words in zip(reasons, sample.rejected, strict=True):
        if words not in reason:
            yield f"rejected for {reason!r}, expected {words!r}"
    if mapping.returns and sample.returns and events:
        yield from _return_differences(mapping, sample, parsed)


def _differences(event: Lookup[str, Any], expected: Lookup[str, Any]) -> Iterator[str]:
    for name, wanted in expected.items():
        if name not in event:
            yield f"{name} is no column of an event"
        elif isinstance(found := event[name], datetime):
            if found != datetime.fromisoformat(str(wanted)):
                yield f"{name} is {found.isoformat()} instead of {wanted}"
        elif found != wanted:
            yield f"{name} is {found!r} instead of {wanted!r}"


def _return_differences(mapping: Mapping, sample: Sample, parsed: Parsed) -> Iterator[str]:
    (text,) = render(parsed.events, mapping).to_pylist()
    written = json.loads if sample.raw.startswith("{") else str.strip
    if text is None or written(as_file([text], mapping)) != written(sample.raw):
        yield f"comes back as {text}"


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
