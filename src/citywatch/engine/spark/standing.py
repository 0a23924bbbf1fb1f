"""How `spark detect` stands: its progress, its clock, the state that it writes, and how late its alerts are."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from citywatch.engine.spark.progress import Progress
from citywatch.engine.spark.told import Told
from citywatch.exposition import Sample, family, histogram
from citywatch.settings import SECOND

_STAGES = ("identities", "rules")
EDGES = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 10, 30, 70, 120, 300)
"""Seconds between the last match of an alert and the moment at which it is told."""
_LIVE = 3600 * SECOND


class Standing(Progress):
    """Of one job. Any thread may ask, and tell.

    Parameters
    ----------
    name
        As of `Progress`.
    before
        The `status` that an earlier start has left: totals go on from there.
    """

    def __init__(self, name: str, before: Mapping[str, Any]) -> None:
        super().__init__(name, before.get("counts"))
        self._batch = int(before.get("batch", -1))
        self._clock: int | None = before.get("clock")
        self._reloads = 0
        self._written = dict.fromkeys(_STAGES, 0)
        self._delays = [0] * (len(EDGES) + 1)
        self._delayed = 0.0

    @property
    def clock(self) -> int | None:
        """µs; None before the first event."""
        return self._clock

    def hear(self, told: Told) -> None:
        """A batch was told to everybody. One that was told before the last stop is not counted again."""
        now = time.time_ns() // 1000
        with self._lock:
            if told.batch > self._batch:
                self._count(told.counts)
            self._batch = max(self._batch, told.batch)
            self._clock = max(self._clock or told.clock, told.clock) if told.clock is not None else self._clock
            self._batches += 1
            self._written = {stage: n + told.counts[f"{stage}_bytes"] for stage, n in self._written.items()}
            self._reloads += told.counts["reloads"]
            for delay in (now - told.facts["last_seen"].cast(pa.int64()).to_numpy()).tolist():
                if 0 <= delay < _LIVE:
                    self._delays[bisect_left(EDGES, delay / SECOND)] += 1
                    self._delayed += delay / SECOND

    def status(self) -> dict[str, Any]:
        """For the desk: what an engine says of itself."""
        with self._lock:
            events = self._counts["events"]
            own = {"pid": os.getpid(), "clock": self._clock, "batch": self._batch, "counts": dict(self._counts)}
            heard = {"sources": [self._name], "lag": self._lag()}
            return {**own, "events": events, "evaluated": events, "waiting": 0, **heard}

    def _lines(self) -> Iterator[str]:
        yield from super()._lines()
        late: list[Sample] = [] if self._clock is None else [({}, max(time.time() - self._clock / SECOND, 0.0))]
        yield from family("citywatch_clock_lag_seconds", "gauge", "Clock behind real time.", late)
        meaning = "Times that a worker read the state of a shard again."
        yield from family("citywatch_spark_reloads_total", "counter", meaning, [({}, self._reloads)])
        written = [({"stage": stage}, count) for stage, count in self._written.items()]
        meaning = "Bytes of state written since the job was started."
        yield from family("citywatch_spark_state_bytes_total", "counter", meaning, written)
        meaning = "Time from the last match of an alert until it was told."
        yield from histogram("citywatch_alert_delay_seconds", meaning, EDGES, self._delays, self._delayed)
