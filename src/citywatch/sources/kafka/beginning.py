"""Where a partition is begun: where this data directory stopped, where its group stopped, or else as is asked.

What the data directory has read decides: one that was restored from a backup reads again what it lacks. But where
another member of the group has read further, this one goes on there: committed offsets carry the member's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from citywatch.connections.kafka.address import BEGINNING
from citywatch.sources.kafka.partitions import Key, Partition, name

_PATIENCE_S = 10.0

Reached = Callable[[Sequence[str]], Mapping[str, int]]


class Beginnings:
    """Finds where to begin, with connections of its own: the client does not bear questions inside of its callbacks.

    Parameters
    ----------
    configuration
        Of a client.
    group, reader
        Consumer group, and the name of this data directory in it.
    start
        `beginning` or `latest`, for topics of which nothing is known.
    reached
        Looks up how far the data directory has read.
    say
        Takes what people should know.
    """

    def __init__(
        self,
        configuration: Mapping[str, Any],
        *,
        group: str,
        reader: str,
        start: str,
        reached: Reached,
        say: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._admin = AdminClient(dict(configuration))
        self._asking = Consumer({**configuration, "group.id": group})
        self._start, self._reached, self._say = start, reached, say

    def close(self) -> None:
        """Hang up."""
        self._asking.close()

    def end(self, key: Key) -> int:
        """Offset that the next message of a partition will get. Raises KafkaException."""
        return self._asking.get_watermark_offsets(TopicPartition(*key), _PATIENCE_S)[1]

    def all_of(self, topics: Sequence[str]) -> set[Key]:
        """The partitions of those of the topics that there are. Raises KafkaException."""
        there = self._asking.list_topics(timeout=_PATIENCE_S).topics
        return {(topic, number) for topic in topics if topic in there for number in there[topic].partitions}

    def find(self, keys: Sequence[Key]) -> dict[Key, Partition]:
        """Partitions that are now ours, each with the offset at which it is to be begun. Raises KafkaException."""
        cursors = self._cursors({topic for topic, _ in keys})
        stored = self._reached(list(cursors.values()))
        ours = [TopicPartition(*key) for key in keys]
        committed = {(at.topic, at.partition): at for at in self._asking.committed(ours, _PATIENCE_S)}
        known = {key[0] for key, cursor in cursors.items() if cursor in stored}
        known |= {topic for (topic, _), at in committed.items() if at.offset >= 0}
        found = {}
        for key in keys:
            low, high = self._asking.get_watermark_offsets(TopicPartition(*key), _PATIENCE_S)
            wanted = self._left(stored.get(cursors[key], -1), committed[key])
            if wanted < 0:  # a partition that was added to a topic that we read is read whole
                wanted = low if self._start == BEGINNING or key[0] in known else high
            at = self._within(key, wanted, low, high)
            found[key] = Partition(cursors[key], heard=at, safe=at, high=high)
        return found

    def _left(self, stored: int, committed: TopicPartition) -> int:
        """Where a partition was left; negative where that is not known."""
        by_another = committed.metadata not in (None, "", self._reader)
        return max(stored, committed.offset) if stored < 0 or by_another else stored

    def _within(self, key: Key, wanted: int, low: int, high: int) -> int:
        """An offset that is there. Says so when messages are lost."""
        if wanted < low:
            self._say(f"{low - wanted:,} messages of {name(key)} were deleted by Kafka before they were read here")
            return low
        if wanted > high:
            self._say(f"{name(key)} ends at {high:,}, before {wanted:,}, up to where it was read: it is read anew")
            return low
        return wanted

    def _cursors(self, topics: set[str]) -> dict[Key, str]:
        """A name for each partition of these topics that is the same for ever, and another's when one is made anew."""
        asked = self._admin.describe_topics(TopicCollection(sorted(topics)), request_timeout=_PATIENCE_S)
        cluster = self._asking.cluster_id(_PATIENCE_S)
        found = {}
        for topic, answer in asked.items():
            described = answer.result(_PATIENCE_S)
            for partition in described.partitions:
                found[topic, partition.id] = f"kafka {cluster} {topic} {described.topic_id} {partition.id}"
        return found
