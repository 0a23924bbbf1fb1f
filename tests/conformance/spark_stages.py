"""The stages of `citywatch spark detect` without Spark: the same code over a state of ours, one batch after the other.

What Spark adds (shuffles, its own state, processes that die) is tested in `tests/cluster/spark`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from citywatch.alert import facts_schema
from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.kept import Kept, Run
from citywatch.engine.spark.message import Kind, Message, of_batch
from citywatch.engine.spark.reading import Reading
from citywatch.engine.spark.stages import ApplyRules, KnowIdentities
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.recipe import ParserRecipe
from tests.conformance.cases import After, Case, Heard, Item, Said, ndjson
from tests.conformance.command_line import told, typed
from tests.conformance.engines import Engine
from tests.conformance.loading import load, settings_of
from tests.oracle import instant

Stage = KnowIdentities | ApplyRules


class SparkStages(Engine):
    """A batch of the case is a batch of the job; a topic of one partition is read."""

    name = "spark stages"
    QUICK: ClassVar[bool] = False
    ALONE: ClassVar[bool] = False

    def reading(self, case: Case) -> Case:
        """Real time is told by events."""
        items = [told(number, item) for number, item in enumerate(case.items)]
        if case.clock is not None:
            items.append(told(len(items), {"tick": case.clock}))
        moves = len(items) > len(case.items) or any("tick" in item for item in case.items)
        rules = tuple(typed(rule, case) if moves else rule for rule in case.rules)
        return replace(case, rules=rules, items=tuple(items), clock=None)

    def run(self, case: Case, directory: Path) -> Heard:
        ruleset, settings = load(case, directory / "rules"), settings_of(case)
        recipe = ParserRecipe(settings, (), Gazetteer(ruleset.zones))
        job = Job(Conditions(ruleset, settings, recipe, tuple(range(case.shards))))
        done = 0
        for items, after in case.batches():
            if after is After.FAIL:
                job.fail(items, done)
            job.advance(items, done)
            if after in (After.RESTART, After.REOPEN):
                job.restart()
            done += len(items)
        return Heard(list(job.said.values()), job.counts)


@dataclass
class _State:
    """What Spark keeps for one shard of one stage."""

    head: tuple[Any, ...] | None = None
    log: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(self.head, dict(self.log))

    def exists(self) -> bool:
        return self.head is not None

    def get(self) -> tuple[Any, ...]:
        assert self.head is not None
        return self.head

    def update(self, newValue: tuple[Any, ...]) -> None:  # noqa: N803 - Spark's word
        self.head = newValue

    def iterator(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        return iter(self.log.items())

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:  # noqa: N802 - Spark's word
        self.log[key] = value

    def removeKey(self, key: tuple[Any, ...]) -> None:  # noqa: N802 - Spark's word
        del self.log[key]


class Job:
    """The job as Spark runs it: three stages, and a state for each shard of two of them."""

    def __init__(self, conditions: Conditions) -> None:
        self.said: dict[str, Said] = {}
        self.counts = dict.fromkeys(("events", "duplicates", "rejected", "late"), 0)
        self.quiet: set[str] = set()
        self.begin(conditions)
        self._states = {(name, slot): _State() for name in self._stages for slot in conditions.slots}

    def begin(self, conditions: Conditions) -> None:
        """Go on with these, in new workers."""
        self._conditions = conditions
        self._read = Reading(conditions.sealed(), {})
        self.restart()

    def restart(self) -> None:
        """Nothing is warm."""
        self._stages: dict[str, Stage] = {"identities": KnowIdentities(), "rules": ApplyRules()}

    def fail(self, items: Sequence[Item], done: int) -> None:
        """Compute a batch and forget what it wrote; what is warm is ahead of the state then."""
        kept = {at: state.copy() for at, state in self._states.items()}
        list(self._batch(items, done))
        self._states = kept

    def advance(self, items: Sequence[Item], done: int) -> None:
        for message in self._batch(items, done):
            self._hear(message)

    def _batch(self, items: Sequence[Item], done: int) -> Iterator[Message]:
        messages = [m for batch in self._read(iter([_input(items, done)])) for m in of_batch(batch)]
        for name, stage in self._stages.items():
            messages = [m for slot in self._conditions.slots for m in self._shard(name, stage, slot, messages)]
        return iter(messages)

    def _shard(self, name: str, stage: Stage, slot: int, messages: Sequence[Message]) -> Iterator[Message]:
        if ours := [message for message in messages if message.slot == slot]:
            state = self._states[name, slot]
            yield from stage(Run("", ""), slot, self._conditions, ours, Kept(state, state))

    def _hear(self, message: Message) -> None:
        if message.kind == Kind.FACTS:
            for row in message.table().cast(facts_schema()).to_pylist():
                self.said[row["id"]] = Said.of_json(row)
                self.quiet |= {row["id"]} if row["silent"] else set()
        if message.kind == Kind.REJECTED:
            self.counts["rejected"] += len(message.table())
        if message.kind == Kind.COUNTS:
            (row,) = message.table().to_pylist()
            for name in self.counts.keys() & row.keys():
                self.counts[name] += row[name]


def _input(items: Sequence[Item], done: int) -> pa.RecordBatch:
    """Items as messages of a topic."""
    lines = [line.encode() for line in ndjson(items).splitlines()]
    columns: dict[str, Any] = {
        "feed": ["t/0"] * len(items),
        "place": range(done, done + len(items)),
        "arrived": [instant(item["receivedat"]) for item in items],
        "name": ["t/0"] * len(items),
        "raw": lines,
    }
    return pa.RecordBatch.from_pydict(columns)
