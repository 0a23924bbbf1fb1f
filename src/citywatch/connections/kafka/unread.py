"""How much of a topic a group of readers has not read."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

_PATIENCE_S = 2.0


def unread(consumer: Consumer, topics: Sequence[str]) -> dict[str, int]:
    """Messages that the consumer's group has not committed, by `TOPIC/PARTITION`, whoever of it reads them.

    A partition of which the group has committed nothing counts from its first message. Raises KafkaException.
    """
    found = {}
    for place in consumer.committed(_partitions(consumer, topics), _PATIENCE_S):
        if place.error is not None:
            raise KafkaException(place.error)
        low, high = consumer.get_watermark_offsets(place, _PATIENCE_S)
        found[f"{place.topic}/{place.partition}"] = max(high - max(place.offset, low), 0)
    return found


def _partitions(consumer: Consumer, topics: Sequence[str]) -> list[TopicPartition]:
    known = [consumer.list_topics(topic, timeout=_PATIENCE_S).topics[topic] for topic in topics]
    if missing := [topic.error for topic in known if topic.error is not None]:
        raise KafkaException(missing[0])
    return [TopicPartition(str(topic.topic), number) for topic in known for number in sorted(topic.partitions)]
