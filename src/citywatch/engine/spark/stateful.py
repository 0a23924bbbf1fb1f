"""The two processors that Spark runs, one call a shard and batch: what is warm, what is kept, what is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from citywatch.engine.spark.conditions import Conditions, Sealed
from citywatch.engine.spark.identity import Known, sorted_in
from citywatch.engine.spark.kept import ENTRY, ENTRY_KEY, HEAD, Kept, Warm
from citywatch.engine.spark.message import Kind, Message, as_frame, of_frames, packed
from citywatch.engine.spark.routing import Routing
from citywatch.engine.spark.shard import Shard

_IDENTITIES: Warm[tuple[Known, Routing]] = Warm()
_SHARDS: Warm[Shard] = Warm()


class _Keeping(StatefulProcessor):  # type: ignore[misc] # Spark is not there where types are checked
    """What both have in common. `run` tells apart the jobs that use the same workers."""

    def __init__(self, sealed: Sealed, run: str) -> None:
        self._sealed = sealed
        self._run = f"{run} {sealed.mark}"

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark at the beginning of a task."""
        self._conditions = self._sealed.open()
        self._head = handle.getValueState("head", HEAD)
        self._log = handle.getMapState("log", ENTRY_KEY, ENTRY)

    def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[Any]:  # noqa: ARG002, N802, N803 - Spark's words
        """Called by Spark with all messages of a batch for one slot."""
        shard = self._conditions.slots.index(key[0])
        kept = Kept(self._head, self._log)
        said = list(self._take(shard, list(of_frames(rows)), kept))
        yield as_frame(said)

    def close(self) -> None:
        """Called by Spark at the end of a task."""

    def _take(self, shard: int, messages: list[Message], kept: Kept) -> Iterator[Message]:
        raise NotImplementedError


class KnowIdentities(_Keeping):
    """The second stage: lets new events pass, and sends them to the shards of their keys."""

    def _take(self, shard: int, messages: list[Message], kept: Kept) -> Iterator[Message]:
        known, routing = _IDENTITIES.take(
            (self._run, shard), kept, lambda k: (Known.load(k), _routing(self._conditions))
        )
        yield from sorted_in(messages, self._conditions, known, routing, kept)
        known.forget_old(self._conditions.settings, kept)
        _IDENTITIES.put((self._run, shard), kept.commit({}), (known, routing))


class ApplyRules(_Keeping):
    """The third stage: the step."""

    def _take(self, shard: int, messages: list[Message], kept: Kept) -> Iterator[Message]:
        reloads = _SHARDS.reloads
        made = _SHARDS.take((self._run, shard), kept, lambda k: Shard(shard, self._conditions, k))
        yield from made.advance(messages, kept)
        _SHARDS.put((self._run, shard), kept.commit(made.head()), made)
        yield _measures(messages[0].slot, kept.written, _SHARDS.reloads - reloads)


def _routing(conditions: Conditions) -> Routing:
    return Routing(conditions.ruleset, conditions.settings, conditions.shards)


def _measures(slot: int, written: int, reloads: int) -> Message:
    return Message(slot, Kind.COUNTS, rows=packed(pa.table({"state_bytes": [written], "reloads": [reloads]})))
