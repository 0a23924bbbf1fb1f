"""Who is told of a batch: the desk of a data directory, and files. Each is told the same again without harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from citywatch.engine.spark.told import Told
from citywatch.stores import durable
from citywatch.stores.desk import Desk
from citywatch.wording import iso

_OBJECTS = ("group", "values", "evidence")
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
    """Facts as lines of JSON, as the contract writes alerts, without how people have dealt with them."""
    times = {name: facts[name].cast(pa.int64()).to_numpy().tolist() for name in _TIMES}
    for i, fact in enumerate(facts.drop(list(_TIMES)).to_pylist()):
        own: dict[str, Any] = {name: json.loads(fact[name]) for name in _OBJECTS}
        own |= {name: iso(times[name][i]) for name in _TIMES}
        yield json.dumps({**fact, **own}, ensure_ascii=False)
