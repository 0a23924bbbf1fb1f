"""How far a job has come: what it has counted, what waits in its topics, and what its batches take."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from citywatch.exposition import family

COUNTS = ("events", "duplicates", "conflicts", "rejected", "late")
_KAFKA = "KafkaV2["

Lag = dict[str, dict[str, int]]
"""Topic -> partition -> a number of messages, or an offset."""
Ends = dict[str, dict[str, tuple[int, int]]]
"""Topic -> partition -> the first offset that is there, and the next that will be."""


class Progress:
    """Of one job. Any thread may ask, and tell.

    Parameters
    ----------
    name
        Address of the source, as a person wrote it.
    counts
        Of earlier starts, where totals go on from there.
    """

    def __init__(self, name: str, counts: Mapping[str, int] | None = None) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._counts = Counter({n: int((counts or {}).get(n, 0)) for n in COUNTS})
        self._batches = 0
        self._seconds = 0.0
        self._rows = 0.0
        self._read: Lag = {}
        self._ends: Ends = {}

    def count(self, counts: Mapping[str, int]) -> None:
        """A batch is done, and these are its records."""
        with self._lock:
            self._count(counts)
            self._batches += 1

    def _count(self, counts: Mapping[str, int]) -> None:
        self._counts.update({name: counts.get(name, 0) for name in COUNTS})

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
        """Messages that are not read, by address and TOPIC/PARTITION; nothing where the source is no topic."""
        waiting = lag(self._read, self._ends)
        parts = {f"{topic}/{part}": count for topic, parts in waiting.items() for part, count in parts.items()}
        return {self._name: parts} if parts else {}

    def exposition(self) -> Iterator[str]:
        """Lines for Prometheus."""
        with self._lock:
            yield from self._lines()

    def _lines(self) -> Iterator[str]:
        outcomes = [({"outcome": name}, count) for name, count in self._counts.items()]
        yield from family("citywatch_records_total", "counter", "Input records by what became of them.", outcomes)
        unread = [
            ({"source": source, "partition": part}, count)
            for source, parts in self._lag().items()
            for part, count in parts.items()
        ]
        yield from family("citywatch_source_lag", "gauge", "Records of a log that are not read yet.", unread)
        for name, kind, meaning, value in (
            ("batches_total", "counter", "Batches since the job was started.", self._batches),
            ("batch_seconds", "gauge", "Time that the last batch took.", self._seconds),
            ("rows_per_second", "gauge", "Records a second that the last batch read.", self._rows),
        ):
            yield from family(f"citywatch_spark_{name}", kind, meaning, [({}, value)])


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
