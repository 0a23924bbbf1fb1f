"""The two stages that keep state, as one batch meets them: what is warm is taken, what changed is kept, all is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.identity import Known, sorted_in
from citywatch.engine.spark.kept import Kept, Run, Warm
from citywatch.engine.spark.message import Kind, Message, packed
from citywatch.engine.spark.routing import Routing
from citywatch.engine.spark.shard import Shard


class KnowIdentities:
    """The second stage: lets new events pass, and sends them to the shards of their keys."""

    def __init__(self) -> None:
        self._warm: Warm[tuple[Known, Routing]] = Warm()

    def __call__(
        self, run: Run, shard: int, conditions: Conditions, messages: Sequence[Message], kept: Kept
    ) -> Iterator[Message]:
        """All messages of a batch for one shard. `run`: jobs, and starts of one, may use the same worker."""

        def load(kept: Kept) -> tuple[Known, Routing]:
            return Known.load(kept), Routing(conditions.ruleset, conditions.settings, conditions.shards)

        known, routing = self._warm.take(run, shard, kept, load)
        yield from sorted_in(messages, conditions, known, routing, kept)
        known.forget_old(conditions.settings, kept)
        self._warm.put(run, shard, kept.commit({}), (known, routing))
        yield Message(messages[0].slot, Kind.COUNTS, rows=packed(pa.table({"identities_bytes": [kept.written]})))


class ApplyRules:
    """The third stage: the step."""

    def __init__(self) -> None:
        self._warm: Warm[Shard] = Warm()

    def __call__(
        self, run: Run, shard: int, conditions: Conditions, messages: Sequence[Message], kept: Kept
    ) -> Iterator[Message]:
        """As above."""
        reloads = self._warm.reloads
        made = self._warm.take(run, shard, kept, lambda kept: Shard(shard, conditions, kept))
        yield from made.advance(messages, kept)
        self._warm.put(run, shard, kept.commit(made.head()), made)
        measured = {"rules_bytes": [kept.written], "reloads": [self._warm.reloads - reloads], "clock": [made.clock]}
        yield Message(messages[0].slot, Kind.COUNTS, rows=packed(pa.table(measured)))
