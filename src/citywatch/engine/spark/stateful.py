"""The stages that keep state, as Spark runs them: one call a shard and batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from citywatch.engine.spark.conditions import Sealed
from citywatch.engine.spark.filing import FileNew
from citywatch.engine.spark.kept import ENTRY, ENTRY_KEY, HEAD, Kept, Run
from citywatch.engine.spark.message import as_frame, of_frames
from citywatch.engine.spark.stages import ApplyRules, KnowIdentities

_STAGES: dict[str, KnowIdentities | ApplyRules | FileNew] = {
    "identities": KnowIdentities(),
    "rules": ApplyRules(),
    "files": FileNew(),
}
"""What stays warm in a worker stands in here."""


class Stateful(StatefulProcessor):  # type: ignore[misc] # Spark is not there where types are checked
    """A stage by its name, for one start of a job."""

    def __init__(self, stage: str, sealed: Sealed, run: Run) -> None:
        self._stage = stage
        self._sealed = sealed
        self._run = run

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark at the beginning of a task."""
        self._head = handle.getValueState("head", HEAD)
        self._log = handle.getMapState("log", ENTRY_KEY, ENTRY)

    def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[Any]:  # noqa: ARG002, N802, N803 - Spark's words
        """Called by Spark with all messages of a batch for one slot."""
        conditions = self._sealed.open()
        shard, kept = conditions.slots.index(key[0]), Kept(self._head, self._log)
        stage = _STAGES[self._stage]
        yield as_frame(list(stage(self._run, shard, conditions, list(of_frames(rows)), kept)))

    def close(self) -> None:
        """Called by Spark at the end of a task."""
