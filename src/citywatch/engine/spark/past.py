"""What topics or files still hold of the time before the job goes on: rules that are new or changed read it first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from citywatch.connections.kafka.spans import Span, Spans, offset
from citywatch.engine.spark.conditions import Parse
from citywatch.engine.spark.identity import Known
from citywatch.engine.spark.reading import FILES, of_file, of_log
from citywatch.records.chunk import Chunk
from citywatch.records.piecewise import piecewise
from citywatch.settings import MINUTE
from citywatch.stores.archive.files import files_at
from citywatch.stores.identity import Identities, Verdict
from citywatch.stores.sorter import Sorter

if TYPE_CHECKING:
    from confluent_kafka import Message

ORDER = ("received_at", "time", "source", "id")
_ROWS = 20_000
_CLOCKS = 5 * MINUTE


@dataclass(frozen=True)
class TopicsPast:
    """Topics up to where the checkpoint stands.

    Attributes
    ----------
    given
        Properties of the client that a person has set.
    ends
        (topic, partition, offset): what comes before is the past.
    mappings
        What the messages of a topic are taken for.
    """

    servers: str
    given: Mapping[str, str]
    ends: Sequence[tuple[str, int, int]]
    mappings: Mapping[str, str] = field(default_factory=dict)

    def events(self, parse: Parse, since: int, disorder: int) -> tuple[bool, Iterator[pa.Table]]:
        """`conditions.Past`. Raises SourceError."""
        records = _Records(self, since)
        chunks = self._chunks(records)
        parsed = ((feed, part.events) for feed, chunk in chunks for _, part in piecewise(parse, chunk))
        return records.complete, _in_order(_judged(parsed, since, disorder))

    def _chunks(self, records: _Records) -> Iterator[tuple[str, Chunk]]:
        for rows in records:
            feed = str(rows["feed"][0].as_py())
            yield feed, of_log(rows, self.mappings.get(feed.rpartition("/")[0]))


@dataclass(frozen=True)
class FilesPast:
    """Files of a directory that were read.

    Attributes
    ----------
    read
        (name as Hadoop writes it, µs of its last change) of those that are still there.
    complete
        Whether they are all that were read.
    mapping
        What their records are taken for.
    """

    read: Sequence[tuple[str, int]]
    complete: bool
    mapping: str | None = None

    def events(self, parse: Parse, since: int, disorder: int) -> tuple[bool, Iterator[pa.Table]]:
        """`conditions.Past`. Raises StoreError."""
        # A record is received before its file was changed last, but for the clocks of those who stamp it.
        wanted = sorted((changed, name) for name, changed in self.read if changed >= since - _CLOCKS)
        chunks = (self._chunk(name, changed) for changed, name in wanted)
        parsed = ((FILES, part.events) for chunk in chunks for _, part in piecewise(parse, chunk))
        return self.complete, _in_order(_judged(parsed, since, disorder))

    def _chunk(self, name: str, changed: int) -> Chunk:
        files, path = files_at(name.removeprefix("file:"))
        return of_file(name, changed, files.read(path), self.mapping)


def _judged(parsed: Iterable[tuple[str, pa.Table]], since: int, disorder: int) -> Iterator[pa.Table]:
    """Of the events of each feed, in its order, those that are neither older nor backfill."""
    latest: dict[str, int] = {}
    for feed, events in parsed:
        if not len(events):
            continue
        received = events["received_at"].cast(pa.int64()).to_numpy()
        heard = np.maximum.accumulate(np.concatenate(([latest.get(feed, since)], received)))
        latest[feed] = int(heard[-1])
        judged = (received >= heard[:-1] - disorder) & (received >= since) & ~events["stale"].to_numpy()
        yield events.filter(pa.array(judged))


def _in_order(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    with tempfile.TemporaryDirectory(prefix="citywatch-past-") as directory:
        place = Path(directory)
        known = Known(Identities(place / "identities"))
        with Sorter(place, ORDER) as sorter:
            for part in parts:
                sorter.add(part)
            for events in sorter.batches(_ROWS):
                new = events.filter(pa.array(known.judge(events) == Verdict.NEW))
                known.remember(new)
                yield new


class _Records:
    """Records of the past, partition by partition, in tables with the columns of `reading.INPUT`."""

    def __init__(self, past: TopicsPast, since: int) -> None:
        self._past = past
        with Spans(past.servers, past.given) as topics:
            begins = [topics.since(topic, number, since // 1000) for topic, number, _ in past.ends]
            lows = [topics.ends(topic, number)[0] for topic, number, _ in past.ends]
        self._spans: list[Span] = [
            (topic, number, end if begin is None else begin, end)
            for (topic, number, end), begin in zip(past.ends, begins, strict=True)
        ]
        self.complete = all(not low or begin > low for (*_, begin, _), low in zip(self._spans, lows, strict=True))
        """Whether nothing was deleted that would be asked for."""

    def __iter__(self) -> Iterator[pa.Table]:
        with Spans(self._past.servers, self._past.given) as topics:
            for span in self._spans:
                yield from map(_table, topics.read(span))


def _table(messages: Sequence[Message]) -> pa.Table:
    name = f"{messages[0].topic()}/{messages[0].partition()}"
    return pa.table(
        {
            "feed": [name] * len(messages),
            "place": pa.array([offset(m) for m in messages], pa.int64()),
            "arrived": pa.array([m.timestamp()[1] * 1000 for m in messages], pa.int64()),
            "name": [name] * len(messages),
            "raw": pa.array([m.value() for m in messages], pa.binary()),
        }
    )
