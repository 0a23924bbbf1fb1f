"""What a shard keeps in Spark's state: a small head, and an append-only log of entries that go by whole slices.

The state of Spark is the truth. What a worker makes of it stays warm in the worker, under the mark of the batch that
was committed last: Spark may give the next batch to another worker, or roll a batch back, and then it is made again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

HEAD = "json string"
ENTRY_KEY = "slice long, number long"
ENTRY = "content binary"


class Value(Protocol):
    """A value of Spark's state."""

    def exists(self) -> bool:
        """Whether there is one."""

    def get(self) -> tuple[Any, ...]:
        """It."""

    def update(self, newValue: tuple[Any, ...]) -> None:  # noqa: N803 - Spark's word
        """Replace it."""


class Map(Protocol):
    """A map of Spark's state."""

    def iterator(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """All of it, in no order."""

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:  # noqa: N802 - Spark's word
        """Put an entry."""

    def removeKey(self, key: tuple[Any, ...]) -> None:  # noqa: N802 - Spark's word
        """Remove an entry."""


class Kept:
    """The state of one shard in Spark, as one batch sees it."""

    def __init__(self, head: Value, log: Map) -> None:
        self._head = head
        self._log = log
        self.head: dict[str, Any] = json.loads(head.get()[0]) if head.exists() else {}
        self.written = 0
        """Bytes that this batch has written."""

    @property
    def mark(self) -> str:
        """Of the batch that was committed last; empty before the first."""
        return str(self.head.get("mark", ""))

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """(slice, number, content) in order of number."""
        found = [(int(key[0]), int(key[1]), bytes(value[0])) for key, value in self._log.iterator()]
        return iter(sorted(found, key=lambda entry: entry[1]))

    def put(self, slice_: int, number: int, content: bytes) -> None:
        """Append an entry."""
        self._log.updateValue((slice_, number), (content,))
        self.written += len(content)

    def remove(self, slice_: int, number: int) -> None:
        """Remove an entry."""
        self._log.removeKey((slice_, number))

    def commit(self, head: dict[str, Any]) -> str:
        """Replace the head; returns the mark of this batch, which no other attempt at it has."""
        mark = uuid.uuid4().hex
        text = json.dumps({**head, "mark": mark})
        self._head.update((text,))
        self.written += len(text)
        return mark


Made = TypeVar("Made")


class Run(NamedTuple):
    """One start of a job on a checkpoint: what others made of it, with other rules perhaps, is of no use to it."""

    checkpoint: str
    start: str


class Warm(Generic[Made]):
    """What a worker remembers of shards, each under the start of the job and the mark of its last batch."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], tuple[str, str, Made]] = {}
        self.reloads = 0

    def take(self, run: Run, shard: int, kept: Kept, load: Callable[[Kept], Made]) -> Made:
        """What was made for this shard, or else made again. It is away until it is `put` back: it may fail."""
        start, mark, made = self._made.pop((run.checkpoint, shard), ("", "", None))
        if made is not None and (start, mark) == (run.start, kept.mark):
            return made
        self.reloads += 1
        return load(kept)

    def put(self, run: Run, shard: int, mark: str, made: Made) -> None:
        """Remember it as it is after the batch with this mark."""
        self._made[run.checkpoint, shard] = (run.start, mark, made)
