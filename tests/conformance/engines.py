"""The engines under test. A subclass of `Engine` is run by every conformance test: ~25 lines, nothing to register."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa

from citywatch.engine import step
from citywatch.engine.step import LARGE, Step
from citywatch.event import batch_schema
from citywatch.rules.model import Ruleset
from tests.conformance.arrow import batch_of
from tests.conformance.cases import After, Case, Heard, Said
from tests.conformance.loading import load, settings_of
from tests.oracle import read


class Engine(ABC):
    """Runs a case and says which alerts there are in the end."""

    name: ClassVar[str]
    QUICK: ClassVar[bool] = True
    """Whether a start costs little: then examples have one after each event, and `quick` runs it."""
    EXAMPLES: ClassVar[bool] = True
    """Whether it is given the examples; not, where another engine that runs it as well has them."""
    ALONE: ClassVar[bool] = True
    """Whether each type is searched by itself; engines that take long to start have many rules at once only."""

    @abstractmethod
    def run(self, case: Case, directory: Path) -> Heard:
        """Run from nothing; `directory` is empty and its own."""

    def reading(self, case: Case) -> Case:
        """The case as this engine reads it, when that is another order than that of the items."""
        return case


def engines() -> list[type[Engine]]:
    """Every engine, by name."""
    import tests.conformance.command_line
    import tests.conformance.spark_stages  # noqa: F401 - both define some

    found = Engine.__subclasses__()
    found += [sub for engine in found for sub in engine.__subclasses__()]
    return sorted(found, key=lambda engine: engine.name)


@contextmanager
def fresh_directory() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="citywatch-conformance-") as name:
        yield Path(name)


class StepAlone(Engine):
    """The step, driven as its host drives it: one transaction a batch, a fact replaces the one with its id."""

    name = "step"

    def run(self, case: Case, directory: Path) -> Heard:
        ruleset = load(case, directory / "rules")
        said: dict[str, Said] = {}
        for shard in range(case.shards):
            mine = Shard(case, ruleset, directory / f"{shard}.duckdb", (shard, case.shards)).run()
            assert not said.keys() & mine.keys(), "two shards say the same alert"
            said |= mine
        return Heard(list(said.values()))


class Shard:
    """One shard of a case, with the step that it has in the end."""

    def __init__(self, case: Case, ruleset: Ruleset, file: Path, shard: tuple[int, int]) -> None:
        self.case = case
        self.ruleset = ruleset
        self.shard = shard
        self.file = str(file) if After.REOPEN in case.cuts.values() else ":memory:"
        self.said: dict[str, Said] = {}
        self.start()

    def start(self) -> None:
        self.con = duckdb.connect(self.file, config={"threads": 1})
        self.renew()

    def renew(self) -> None:
        # With several shards, what large batches do: the work of a batch is given to several threads.
        step.LARGE = 1 if self.case.shards > 1 else LARGE
        self.step = Step(self.con, self.ruleset, settings_of(self.case), shard=self.shard)

    def run(self) -> dict[str, Said]:
        done = 0
        for items, after in self.case.batches():
            batch = batch_of(self.case, done, done + len(items))
            done += len(items)
            if (clock := read(self.case.items[:done], self.case.settings).clock) is not None:
                self.advance(batch, clock, after)
        if self.case.clock is not None:
            self.advance(batch_schema().empty_table(), max(self.case.clock, clock or 0), After.GO_ON)
        self.con.close()
        return self.said

    def advance(self, batch: pa.Table, clock: int, after: After) -> None:
        self.con.begin()
        facts = self.step.advance(batch, clock)
        if after is After.FAIL:
            self.con.rollback()
            self.renew()
            self.con.begin()
            facts = self.step.advance(batch, clock)
        self.con.commit()
        self.hear(facts)
        if after is After.REOPEN:
            self.con.close()
            self.start()
        elif after is After.RESTART:
            self.renew()

    def hear(self, facts: pa.Table) -> None:
        """An alert never disappears; it grows."""
        for fact in map(Said.of_json, facts.to_pylist()):
            if before := self.said.get(fact.id):
                assert fact.count >= before.count, f"the count of {before} fell: {fact}"
                assert fact.last_seen >= before.last_seen, f"last_seen of {before} fell: {fact}"
                assert fact.first_seen <= before.first_seen, f"first_seen of {before} rose: {fact}"
                assert before.late or not fact.late, f"{before} became late: {fact}"
            self.said[fact.id] = fact
