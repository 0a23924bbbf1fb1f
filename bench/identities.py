"""A data directory that knows 50 million identities gets a million of them again, in random order of dates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench import generate
from bench.measure import Line, cached, fresh, rate, run, size
from citywatch.stores.identity import Identities

KNOWN = 50_000_000
AGAIN = 1_000_000
_BATCH = 1_000_000


def bench(scratch: Path) -> Iterator[Line]:
    """Through the front door: `citywatch run` with a file of which every event is known."""
    events = cached(
        scratch / "million.ndjson",
        lambda p: generate.events(p, first=2 * AGAIN, count=AGAIN, measured_from=2 * AGAIN),
    )
    shuffled = cached(scratch / "shuffled.ndjson", lambda p: generate.shuffled(events, p))
    data = fresh(scratch / "identities")
    rules = fresh(scratch / "no-rules")
    run("run", events, "--once", "--data", data, "--rules", rules)
    _know(data / "identity", KNOWN - AGAIN)
    ran = run("run", shuffled, "--once", "--data", data, "--rules", rules)
    if ran.summary["duplicates"] != AGAIN:
        raise RuntimeError(f"all {AGAIN} events were known, and these were counted: {ran.summary}")
    yield Line(
        f"{KNOWN // 1_000_000} M known identities, 1 M sent again in random order",
        f"{rate(AGAIN, ran.seconds)}, {size(ran.peak)}",
        "20,000 events/s, 1,536 MiB",
        holds=AGAIN / ran.seconds > 20_000 and ran.peak < 1.5 * 2**30,
    )


def _know(directory: Path, count: int) -> None:
    """Add `count` identities that no event of the file has, as if they had come over the years."""
    index = Identities(directory)
    random = np.random.default_rng(7)
    for _ in range(count // _BATCH):
        index.add(
            random.integers(0, 2**64, _BATCH, dtype=np.uint64),
            random.integers(0, 2**32, _BATCH, dtype=np.uint32),
            random.integers(0, 2**32, _BATCH, dtype=np.uint32),
            index.cursor,
        )
        index.flush()
        while index.merge():
            pass
