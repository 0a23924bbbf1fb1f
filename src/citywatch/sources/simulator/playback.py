"""Playing a simulation: in the pace of a clock, or as fast as it is read."""

from __future__ import annotations

import bisect
import datetime as dt
import json
import time as clocks
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import numpy as np

from citywatch.settings import SECOND
from citywatch.sources.simulator.city import Batch, batches, cut
from citywatch.sources.simulator.simulation import Simulation
from citywatch.sources.simulator.stream import Planted

BATCH = 20_000
"""Lines at once when nothing has to wait."""
_PACE = 0.25
"""Seconds between two looks at the clock: a chunk has its price, and nobody sees a quarter of a second."""


def play(
    simulation: Simulation,
    now: Callable[[], float] = clocks.monotonic,
    sleep: Callable[[float], None] = clocks.sleep,
) -> Iterator[Batch]:
    """The lines of a simulation; with a speed each comes when it is received, and the history at once.

    `now` (seconds) and `sleep` are the clock.
    """
    if simulation.speed is None:
        yield from cut(batches(simulation.plan), BATCH)
        return
    began, start, speed = now(), simulation.plan.start, simulation.speed

    def reach() -> int:
        return start + int((now() - began) * speed * SECOND)

    for batch in batches(simulation.plan):
        position = 0
        if not len(batch.lines):
            yield batch
        for upto in _releases(batch, reach, sleep):
            yield _part(batch, position, upto)
            position = upto


def _releases(batch: Batch, reach: Callable[[], int], sleep: Callable[[float], None]) -> Iterator[int]:
    """Ends of the parts of a batch, each when its time has come; `reach` is the simulated time of now, µs."""
    position, total = 0, len(batch.lines)
    while position < total:
        due = int(np.searchsorted(batch.received, reach(), side="right"))
        upto = min(due, position + BATCH)
        if upto > position:
            yield upto
            position = upto
        if due < total and upto == due:
            sleep(_PACE)


def _part(batch: Batch, begin: int, end: int) -> Batch:
    """Lines from `begin` to `end`, and what was planted since the line before `begin`."""
    times = [planted.begin for planted in batch.planted]
    low = 0 if begin == 0 else bisect.bisect_right(times, batch.received[begin - 1])
    high = len(times) if end == len(batch.lines) else bisect.bisect_right(times, batch.received[end - 1])
    return Batch(batch.received[begin:end], batch.lines.slice(begin, end - begin), batch.planted[low:high])


def write_truth(planted: tuple[Planted, ...], file: TextIO) -> None:
    """One JSON object a line."""
    for item in planted:
        file.write(json.dumps(truth(item), separators=(",", ":")) + "\n")
    file.flush()


def truth(planted: Planted) -> dict[str, Any]:
    """A line of the truth file: an alert of that rule and key has to have a match between `from` and `until`."""
    return {
        "kind": planted.kind,
        "rule": planted.rule,
        "group": dict(planted.group),
        "from": _moment(planted.begin),
        "until": _moment(planted.end),
        "lat": planted.lat,
        "lon": planted.lon,
        "events": [{"source": source, "id": id_} for source, id_ in planted.events],
    }


def _moment(time: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=time)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
