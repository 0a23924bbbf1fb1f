"""How far topics have grown, looked up beside the batches: while one takes long, what waits grows in sight of all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaException

from citywatch.connections.kafka.spans import Spans
from citywatch.engine.spark.progress import Ends, Progress
from citywatch.errors import SourceError

_EVERY_S = 2.0


@contextmanager
def watched(progress: Progress, servers: str, given: Mapping[str, str], topics: Sequence[str]) -> Iterator[None]:
    """Tell `progress` of the topics while the block lasts. `given`: properties of the client that a person has set."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            try:
                with Spans(servers, given) as connection:
                    while not stop.is_set():
                        progress.grown(_ends(connection, topics))
                        stop.wait(_EVERY_S)
            except (SourceError, KafkaException):
                stop.wait(_EVERY_S)  # the job itself says what is wrong with the brokers; what was known stays

    thread = threading.Thread(target=watch, name="growth of topics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_EVERY_S)


def _ends(connection: Spans, topics: Sequence[str]) -> Ends:
    spans = {topic: connection.whole(topic) for topic in topics}
    return {topic: {str(number): (low, high) for _, number, low, high in found} for topic, found in spans.items()}
