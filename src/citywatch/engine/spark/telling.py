"""Who is told of a batch: the desk of a data directory, and files. Each is told the same again without harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from citywatch.alert_line import Standing, alert_line
from citywatch.engine.spark.told import Told
from citywatch.stores import durable
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us

_TIMES = ("first_seen", "last_seen")


class DeskTold:
    """The desk: upserts by id, so people, routes and console have each alert once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, told: Told) -> None:
        """Write down what a batch says."""
        if len(told.rejected):
            self._desk.put_rejected(told.rejected)
        if len(told.facts):
            self._desk.put_facts(told.facts)
        if len(told.corrections):
            self._desk.put_corrections(told.corrections)


class FilesTold:
    """A directory with a file of NDJSON for each batch; a batch that is told again replaces its file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def __call__(self, told: Told) -> None:
        """Write the file of a batch, if it has facts."""
        path = self._directory / f"batch-{told.batch:012d}.ndjson"
        if len(told.facts) or path.exists():
            durable.write(path, "".join(f"{line}\n" for line in lines(told.facts)).encode())


def lines(facts: pa.Table) -> Iterator[str]:
    """Facts as the contract writes alerts; nobody has dealt with them here.

    Unlike a notifier a job also tells what notifies nobody: `silent` says so of what came before its rule was loaded.
    """
    standing = Standing(now_us())
    for name in _TIMES:
        facts = facts.set_column(facts.column_names.index(name), name, facts[name].cast(pa.int64()))
    for fact in facts.to_pylist():
        yield alert_line(fact["id"], fact, standing, ("inconclusive", "silent"))
