"""A million events of 300 bytes through `citywatch run --once`: durable, history written. Beside it DuckDB alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import generate
from bench.measure import ROOT, Line, cached, duckdb_alone, fresh, rate, run, size

COUNT = 1_000_000
WARM = 2 * COUNT
"""Events read before, so that windows of a day are full: what is kept reaches two windows back."""


def bench(scratch: Path) -> Iterator[Line]:
    """Both sets of rules; `all12` on a data directory whose windows are full."""
    warm = cached(scratch / "warm.ndjson", lambda p: generate.events(p, first=0, count=WARM, measured_from=WARM))
    events = cached(
        scratch / "million.ndjson", lambda p: generate.events(p, first=WARM, count=COUNT, measured_from=WARM)
    )
    alone = duckdb_alone(events, scratch)
    yield Line("1 M events: DuckDB alone, parse and store", f"{rate(COUNT, alone)} ({alone:.1f} s)")
    yield _measured("all12", events, alone, scratch, warm=warm, floor=60_000, aim="200,000 events/s")
    yield _measured("plain24", events, alone, scratch, warm=None, floor=150_000, aim="half of DuckDB alone")


def _measured(name: str, events: Path, alone: float, scratch: Path, *, warm: Path | None, floor: int, aim: str) -> Line:
    data = fresh(scratch / name)
    rules = ROOT / "bench" / "rules" / name
    if warm:
        run("run", warm, "--once", "--data", data, "--rules", rules)
    ran = run("run", events, "--once", "--data", data, "--rules", rules)
    if ran.summary["events"] != COUNT:
        raise RuntimeError(f"{COUNT} events were sent, and these were counted: {ran.summary}")
    speed = COUNT / ran.seconds
    return Line(
        f"1 M events, {name}, durable, with history",
        f"{rate(COUNT, ran.seconds)} ({alone / ran.seconds:.2f} of DuckDB alone; "
        f"{ran.summary['alerts']:,} alerts; {size(ran.peak)})",
        f"{floor:,} events/s",
        aim,
        speed >= floor,
    )
