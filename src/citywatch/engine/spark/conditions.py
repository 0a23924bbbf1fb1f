"""What every worker of a job has to know, and the workers' memory of what they made of it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa

from citywatch.engine.runs import Keys
from citywatch.records.chunk import Chunk, Parsed
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings

Parse = Callable[[Chunk], Parsed]


class MakeParser(Protocol):
    """Makes a parser in a worker; it travels there, so it can be pickled."""

    def __call__(self) -> Parse:
        """A parser for one thread."""


class Past(Protocol):
    """What can still be read of the time before the job goes on; it can be pickled."""

    def events(self, parse: Parse, since: int, disorder: int) -> tuple[bool, Iterator[pa.Table]]:
        """Events that were received since then (µs) and are judged: no copies, no backfill, in order of receipt.

        Returns whether it reaches back that far, and the events.
        """


@dataclass(frozen=True)
class Conditions:
    """What is evaluated, and how.

    Attributes
    ----------
    slots
        Number that stands for each shard as the key of Spark's partitions: each falls into a partition of its own.
    past
        What rules can read that are new to the checkpoint; None = nothing.
    """

    ruleset: Ruleset
    settings: Settings
    make_parser: MakeParser
    slots: tuple[int, ...]
    past: Past | None = None

    @property
    def shards(self) -> int:
        """How many."""
        return len(self.slots)

    def sealed(self) -> Sealed:
        """As it travels to the workers."""
        content = pickle.dumps(self)
        return Sealed(hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True)
class Sealed:
    """Conditions as bytes, and what tells them from others."""

    mark: str
    content: bytes

    def open(self) -> Conditions:
        """The conditions; made once in a worker."""
        return _opened(self.mark, lambda: pickle.loads(self.content))  # noqa: S301 - from the driver, as the code is


@lru_cache(maxsize=2)
def _remembered(mark: str) -> list[Conditions]:  # noqa: ARG001 - the key of the memory
    return []


def _opened(mark: str, make: Callable[[], Conditions]) -> Conditions:
    found = _remembered(mark)
    if not found:
        found.append(make())
    return found[0]


def shard_of(hashes: Keys, shards: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Shard of each identity or key by its hash."""
    return (hashes % np.uint64(shards)).astype(np.int64)
