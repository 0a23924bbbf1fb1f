"""Reading alone: files to columns of events, without rules and without anything kept. Beside it DuckDB's own parse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import generate
from bench.measure import Line, cached, cores, duckdb_alone, rate
from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.settings import Settings
from citywatch.sources import open_source

COUNT = 1_000_000


def bench(scratch: Path) -> Iterator[Line]:
    """CloudEvents of 300 bytes, and tickets of 43 columns."""
    events = cached(
        scratch / "million.ndjson", lambda p: generate.events(p, first=2 * COUNT, count=COUNT, measured_from=2 * COUNT)
    )
    alone = duckdb_alone(events, scratch)
    took = _seconds(events, COUNT)
    yield Line(
        "1 M events of 300 bytes, read and cast",
        f"{rate(COUNT, took)} ({took:.1f} s; DuckDB alone, parse and store: {alone:.1f} s)",
        "3 s",
        holds=took < 3,
    )
    tickets = cached(scratch / "tickets-of-a-month.csv", lambda p: generate.tickets(p, COUNT))
    took = _seconds(tickets, COUNT)
    yield Line("1 M tickets of 43 columns, read and cast", rate(COUNT, took), "100,000/s", holds=COUNT / took > 100_000)


def _seconds(path: Path, count: int) -> float:
    parser = Parser(Settings(), load_mappings(), threads=cores())
    began = time.perf_counter()
    read = sum(parser.parse(chunk).read for source in open_source(str(path)) for chunk in source.chunks())
    if read != count:
        raise RuntimeError(f"{path} has {count} records, and {read} were read")
    return time.perf_counter() - began
