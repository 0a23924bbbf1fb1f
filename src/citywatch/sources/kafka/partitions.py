"""The partitions that are read at present: how far they are heard, handed on, and safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citywatch.records.chunk import Part

if TYPE_CHECKING:
    from confluent_kafka import Message

Key = tuple[str, int]
"""Topic and number of a partition."""

PAUSE_S = 2.0
"""A reader that has not looked for so long was stopped, or the machine slept: what came meanwhile is not heard yet."""


@dataclass(slots=True)
class Partition:
    """One partition.

    Attributes
    ----------
    cursor
        What the data directory knows it by.
    heard, safe
        Offset behind the last message that came from Kafka, and behind the last one that is committed here.
    high
        Offset that its next message will get, as far as we know; -1 = not known yet.
    end
        Offset at which Kafka has said that nothing is left; -1 = something is, or may be.
    ended
        Nothing is left, as far as the reader knew when it looked last.
    told
        What Kafka was told last of `safe`.
    lost
        It may be somebody else's meanwhile.
    leaving
        It is read no more, and not yet all of it is committed.
    """

    cursor: str
    heard: int
    safe: int
    high: int = -1
    end: int = -1
    ended: bool = False
    told: int = -1
    lost: bool = False
    leaving: bool = False

    def part(self, *, fresh: bool) -> Part:
        """How it stands, for the engine; `fresh`: what is known of it is from just now."""
        end = self.heard if self.ended else max(self.high, self.heard)  # behind the last message may be markers
        return Part(end - self.safe, fresh and self.ended and self.heard == self.safe)


def name(key: Key) -> str:
    """What a person calls a partition."""
    return f"{key[0]}/{key[1]}"


def key_of(message: Message) -> Key:
    """The partition of a message."""
    return message.topic() or "", message.partition() or 0


def upto_of(messages: Iterable[Message]) -> dict[Key, int]:
    """The offset behind the last message of each partition."""
    return {key_of(message): (message.offset() or 0) + 1 for message in messages}


class Partitions:
    """All partitions of a reader, for several threads. Partitions that were taken away are known no more."""

    def __init__(self) -> None:
        self._known: dict[Key, Partition] | None = None
        self._whole = False
        self._looked = 0.0
        self._changed = threading.Condition()

    def look(self) -> None:
        """The reader looks, as it does all the time; after a pause nobody knows whether something is left."""
        with self._changed:
            if not self._fresh():
                self._doubt()
            self._looked = time.time()

    def _fresh(self) -> bool:
        # By the clock that stamps messages: the monotonic one stands still while a machine sleeps.
        return abs(time.time() - self._looked) < PAUSE_S

    def assign(self, partitions: Mapping[Key, Partition], expected: AbstractSet[Key] = frozenset()) -> None:
        """These are read from now on, too; what was lost and is not among them has gone to somebody else.

        Before all that are `expected` have been there once, it is not known what is read: a group that begins may get
        some of its partitions, or none, before it gets the others.
        """
        with self._changed:
            kept = {key: one for key, one in (self._known or {}).items() if one.leaving or not one.lost}
            self._known = {**kept, **partitions}
            self._whole |= bool(self._known) and expected <= self._known.keys()

    def lose(self, keys: Iterable[Key] | None = None) -> None:
        """These (default: all) are perhaps somebody else's, and perhaps ours again soon: the clock waits for them."""
        with self._changed:
            known = self._known or {}
            for key in known if keys is None else keys:
                if key in known:
                    known[key].lost, known[key].ended, known[key].end = True, False, -1

    def revoke(self, keys: Iterable[Key]) -> None:
        """These are read no more; the clock waits for them until all that was heard of them is committed."""
        with self._changed:
            for key in keys:
                if (one := (self._known or {}).get(key)) is not None:
                    one.leaving, one.lost, one.ended, one.end = True, True, False, -1
            self._leave()

    def _leave(self) -> None:
        left = [key for key, one in (self._known or {}).items() if one.leaving and one.heard <= one.safe]
        for key in left:
            (self._known or {}).pop(key)

    def heard(self, key: Key, upto: int) -> bool:
        """Messages up to an offset have come; whether the partition is one of ours."""
        with self._changed:
            partition = (self._known or {}).get(key)
            if partition is None:
                return False
            partition.heard, partition.end, partition.ended = upto, -1, False
            return True

    def ended(self, key: Key, high: int) -> None:
        """Nothing is left of a partition at present."""
        with self._changed:
            if (partition := (self._known or {}).get(key)) is not None:
                partition.ended, partition.end, partition.high = True, high, high

    def still_ended(self, key: Key, high: int) -> None:
        """Kafka can be reached again, and this is the end of a partition."""
        with self._changed:
            if (partition := (self._known or {}).get(key)) is not None:
                partition.ended = partition.end == high
                partition.end = high if partition.ended else -1

    def high(self, key: Key, high: int) -> None:
        """What is known of the end of a partition."""
        with self._changed:
            if (partition := (self._known or {}).get(key)) is not None:
                partition.high = max(high, partition.high)

    def committed(self, upto: Mapping[Key, int]) -> None:
        """Messages up to these offsets are safe."""
        with self._changed:
            for key, offset in upto.items():
                if (partition := (self._known or {}).get(key)) is not None:
                    partition.safe = max(partition.safe, min(offset, partition.heard))
            self._leave()
            self._changed.notify_all()

    def doubt(self) -> None:
        """Kafka cannot be reached: nobody knows whether something is left."""
        with self._changed:
            self._doubt()

    def _doubt(self) -> None:
        for partition in (self._known or {}).values():
            partition.ended = False

    def doubtful(self) -> list[Key]:
        """Partitions of which nothing was left, until Kafka could not be reached or the reader paused."""
        with self._changed:
            return [key for key, one in (self._known or {}).items() if one.end >= 0 and not one.ended]

    def parts(self) -> dict[str, Part] | None:
        """For the engine; None before the first whole assignment."""
        with self._changed:
            if self._known is None or not self._whole:
                return None
            fresh = self._fresh()
            return {name(key): partition.part(fresh=fresh) for key, partition in self._known.items()}

    def assigned(self) -> list[Key]:
        """The partitions that are read."""
        with self._changed:
            return list(self._known or ())

    def cursor(self, key: Key) -> str | None:
        """What the data directory knows a partition by."""
        with self._changed:
            partition = (self._known or {}).get(key)
            return partition.cursor if partition else None

    def untold(self) -> dict[Key, int]:
        """Offsets that are safe, and of which Kafka was not told; it counts as told now."""
        with self._changed:
            known = (self._known or {}).items()
            found = {key: one.safe for key, one in known if one.told < one.safe and not one.lost}
            for key, offset in found.items():
                (self._known or {})[key].told = offset
            return found

    def not_told(self, keys: Iterable[Key]) -> None:
        """Kafka did not take in what it was told of these."""
        with self._changed:
            for key in keys:
                if (partition := (self._known or {}).get(key)) is not None:
                    partition.told = -1

    def wait_until_safe(self, keys: Iterable[Key], within: float, given_up: Callable[[], bool]) -> None:
        """Wait until all that was heard of these is committed, but not for ever."""

        def safe() -> bool:
            known = self._known or {}
            return given_up() or all(known[key].heard <= known[key].safe for key in keys if key in known)

        with self._changed:
            self._changed.wait_for(safe, within)
