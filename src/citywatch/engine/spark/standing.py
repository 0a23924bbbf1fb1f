"""How a job stands: what it has counted, what waits in its topics, how late alerts are."""

from __future__ import annotations

import json
import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from citywatch.engine.spark.told import Told
from citywatch.exposition import Sample, family, histogram
from citywatch.settings import SECOND

COUNTS = ("events", "duplicates", "conflicts", "rejected", "late")
_STAGES = ("identities", "rules")
EDGES = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 10, 30, 70, 120, 300)
"""Seconds between the last match of an alert and the moment at which it is told."""
_LIVE = 3600 * SECOND
_KAFKA = "KafkaV2["

Lag = dict[str, dict[str, int]]
"""Topic -> partition -> a number of messages, or an offset."""
Ends = dict[str, dict[str, tuple[int, int]]]
"""Topic -> partition -> the first offset that is there, and the next that will be."""


class Standing:
    """Of one job. Any thread may ask, and tell.

    Parameters
    ----------
    name
        Of the source, as people know it.
    before
        The `status` that an earlier start has left: totals go on from there.
    """

    def __init__(self, name: str, before: Mapping[str, Any]) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._counts = Counter({n: int(before.get("counts", {}).get(n, 0)) for n in COUNTS})
        self._batch = int(before.get("batch", -1))
        self._clock: int | None = before.get("clock")
        self._batches = self._reloads = 0
        self._written = dict.fromkeys(_STAGES, 0)
        self._seconds = 0.0
        self._rows = 0.0
        self._read: Lag = {}
        self._ends: Ends = {}
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
                self._counts.update({name: told.counts[name] for name in COUNTS})
            self._batch = max(self._batch, told.batch)
            self._clock = max(self._clock or told.clock, told.clock) if told.clock is not None else self._clock
            self._batches += 1
            self._written = {stage: n + told.counts[f"{stage}_bytes"] for stage, n in self._written.items()}
            self._reloads += told.counts["reloads"]
            for delay in (now - told.facts["last_seen"].cast(pa.int64()).to_numpy()).tolist():
                if 0 <= delay < _LIVE:
                    self._delays[bisect_left(EDGES, delay / SECOND)] += 1
                    self._delayed += delay / SECOND

    def progressed(self, progress: Mapping[str, Any]) -> None:
        """What Spark says of its last batch: `StreamingQueryProgress` as JSON."""
        with self._lock:
            read, ends = offsets(progress)
            self._read = read or self._read
            self._grow(ends)
            self._seconds = progress.get("durationMs", {}).get("triggerExecution", 0) / 1000
            self._rows = float(progress.get("processedRowsPerSecond") or 0)

    def grown(self, ends: Ends) -> None:
        """What topics hold now; a batch that takes long says nothing of it before it is over."""
        with self._lock:
            self._grow(ends)

    def _grow(self, ends: Ends) -> None:
        for topic, parts in ends.items():
            for part, (low, high) in parts.items():
                before = self._ends.setdefault(topic, {}).get(part, (0, 0))
                self._ends[topic][part] = max(low, before[0]), max(high, before[1])

    def _lag(self) -> Lag:
        return lag(self._read, self._ends)

    def status(self) -> dict[str, Any]:
        """For the desk: what an engine says of itself."""
        with self._lock:
            events = self._counts["events"]
            lag = {f"kafka://{topic}": parts for topic, parts in self._lag().items()}
            own = {"pid": os.getpid(), "clock": self._clock, "batch": self._batch, "counts": dict(self._counts)}
            return {**own, "events": events, "evaluated": events, "waiting": 0, "sources": [self._name], "lag": lag}

    def exposition(self) -> Iterator[str]:
        """Lines for Prometheus."""
        with self._lock:
            yield from self._lines()

    def _lines(self) -> Iterator[str]:
        outcomes = [({"outcome": name}, count) for name, count in self._counts.items()]
        yield from family("citywatch_records_total", "counter", "Input records by what became of them.", outcomes)
        unread = [
            ({"source": f"kafka://{topic}", "partition": part}, count)
            for topic, parts in self._lag().items()
            for part, count in parts.items()
        ]
        yield from family("citywatch_source_lag", "gauge", "Records of a log that are not read yet.", unread)
        late: list[Sample] = [] if self._clock is None else [({}, max(time.time() - self._clock / SECOND, 0.0))]
        yield from family("citywatch_clock_lag_seconds", "gauge", "Clock behind real time.", late)
        for name, kind, meaning, value in (
            ("batches_total", "counter", "Batches since the job was started.", self._batches),
            ("batch_seconds", "gauge", "Time that the last batch took.", self._seconds),
            ("rows_per_second", "gauge", "Records a second that the last batch read.", self._rows),
            ("reloads_total", "counter", "Times that a worker read the state of a shard again.", self._reloads),
        ):
            yield from family(f"citywatch_spark_{name}", kind, meaning, [({}, value)])
        written = [({"stage": stage}, count) for stage, count in self._written.items()]
        meaning = "Bytes of state written since the job was started."
        yield from family("citywatch_spark_state_bytes_total", "counter", meaning, written)
        meaning = "Time from the last match of an alert until it was told."
        yield from histogram("citywatch_alert_delay_seconds", meaning, EDGES, self._delays, self._delayed)


def lag(read: Lag, ends: Ends) -> Lag:
    """Messages that are there and not read; `read` has the next offset of each partition that was begun."""
    return {
        topic: {part: max(high - max(read.get(topic, {}).get(part, 0), low), 0) for part, (low, high) in parts.items()}
        for topic, parts in ends.items()
    }


def offsets(progress: Mapping[str, Any]) -> tuple[Lag, Ends]:
    """Up to where the topics were read, and what was there, when a batch began."""
    read: Lag = {}
    ends: Ends = {}
    for source in progress.get("sources", []):
        if str(source.get("description", "")).startswith(_KAFKA):
            read |= _offsets(source.get("endOffset"))
            for topic, parts in _offsets(source.get("latestOffset")).items():
                ends[topic] = {part: (0, high) for part, high in parts.items()}
    return read, ends


def _offsets(said: Any) -> Lag:
    """Spark writes them as an object, or as the text of one."""
    found = json.loads(said) if isinstance(said, str) else said
    return found if isinstance(found, dict) else {}
