"""Topics of Kafka: offsets are kept with what was read from them, so that every record counts once."""

from citywatch.sources.kafka.source import open_kafka

__all__ = ["open_kafka"]
