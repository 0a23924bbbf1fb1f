"""Alerts into a topic of Kafka, in the form of the contract, one message each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from citywatch.connections.kafka import configuration
from citywatch.connections.kafka.address import ALERTS, servers
from citywatch.errors import CitywatchError, DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.notify.message import Alert, Message
from citywatch.notify.options import DURATION, PATH, TEXT, Form, Option, parsed
from citywatch.settings import SECOND

SERVERS = Form(lambda node, _: parsed(node, servers), {"type": "string"}, "`host:port`, several with commas")


class Kafka:
    """Writes each alert as a message of its own. The key is the alert's id: readers upsert, and copies do no harm.

    The producer is idempotent and waits for all replicas. TLS and who signs in stand in a file of the client's
    properties (`config`), or in the environment (`CITYWATCH_KAFKA_…`).
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("servers", SERVERS, "some brokers of the cluster"),
        Option("topic", TEXT, "topic, which has to be there", ALERTS),
        Option("config", PATH, "file of properties of the client, such as `security.protocol=SASL_SSL`", None),
        Option("timeout", DURATION, "a message that is not acknowledged after that has failed", 20 * SECOND),
    )
    RATE = None
    BUNDLE = 100

    def __init__(self, *, servers: str, topic: str, config: Path | None, timeout: int) -> None:
        self._servers, self._topic, self._config = servers, topic, config
        self._timeout = timeout / SECOND
        self._producing: Any = None

    def send(self, message: Message) -> str:
        """Write it; see `citywatch.notify.Notifier`."""
        from citywatch.connections.kafka.producing import (  # noqa: PLC0415 - the client is optional
            Outgoing,
            Producing,
            UnwrittenError,
        )

        outgoing = [Outgoing(alert["id"], _value(alert, test=message.test)) for alert in message.alerts]
        try:
            if self._producing is None:
                configuration.require()
                given = configuration.properties(self._config)
                self._producing = Producing(self._servers, given, patience=self._timeout)
            refused = self._producing.write(self._topic, outgoing)
        except UnwrittenError as error:
            failed = TargetRefusedError if error.lasting else DeliveryError
            raise failed(f"{self._topic} at {error}", hint=error.hint or None) from error
        except CitywatchError as error:
            raise TargetRefusedError(str(error)) from error
        if refused:
            raise MessageRefusedError(f"{self._topic} at {self._servers}: {next(iter(refused.values()))}")
        return f"written to {self._topic}"


def _value(alert: Alert, *, test: bool) -> bytes:
    """An alert in the form of the contract; one that is only a test says so."""
    told = {**alert, "test": True} if test else alert
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
