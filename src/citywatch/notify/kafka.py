"""Alerts into a topic of Kafka, one message each: in the form of the contract, or as an older system has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from citywatch.connections.kafka import configuration
from citywatch.connections.kafka.address import ALERTS, servers
from citywatch.delivery import Follow
from citywatch.errors import CitywatchError, DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.notify.message import Alert, Message
from citywatch.notify.options import DURATION, PATH, TEXT, Form, Option, choice, parsed
from citywatch.settings import SECOND
from citywatch.wording import moment, place_in_words

SERVERS = Form(lambda node, _: parsed(node, servers), {"type": "string"}, "`host:port`, several with commas")

_OLDER = "prestacop"


class Kafka:
    """Writes each alert as a message of its own. The key is the alert's id: readers upsert, and copies do no harm.

    By a route that follows, an alert is written again as it stands then; `as: prestacop` has no word for that.

    The producer is idempotent and waits for all replicas. TLS and who signs in stand in a file of the client's
    properties (`config`), or in the environment (`CITYWATCH_KAFKA_…`).
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("servers", SERVERS, "some brokers of the cluster"),
        Option("topic", TEXT, "topic, which has to be there", ALERTS),
        Option(
            "as",
            choice("citywatch", _OLDER),
            "`prestacop`: as that system's `alert_topic` has them",
            "citywatch",
            "form",
        ),
        Option("config", PATH, "file of properties of the client, such as `security.protocol=SASL_SSL`", None),
        Option("timeout", DURATION, "a message that is not acknowledged after that has failed", 20 * SECOND),
    )
    RATE = None
    BUNDLE = 100
    FOLLOWS = Follow.NOTHING
    TOGETHER = True

    def __init__(self, *, servers: str, topic: str, config: Path | None, timeout: int, form: str) -> None:
        self._servers, self._topic, self._config = servers, topic, config
        self._older = self.once = form == _OLDER
        self._timeout = timeout / SECOND
        self._producing: Any = None

    def send(self, message: Message) -> str:
        """Write it; see `citywatch.notify.Notifier`."""
        from citywatch.connections.kafka.producing import (  # noqa: PLC0415 - the client is optional
            Outgoing,
            Producing,
            UnwrittenError,
        )

        values = [self._value(alert, message) for alert in message.alerts]
        pairs = zip(message.alerts, values, strict=True)
        outgoing = [Outgoing(alert["id"], value) for alert, value in pairs if value is not None]
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
        left_out = len(values) - len(outgoing)
        return f"written to {self._topic}" + (f"; {left_out} left out: {_OLDER} has no word for it" if left_out else "")

    def _value(self, alert: Alert, message: Message) -> bytes | None:
        """The alert as a message; one that is only a test says so, or, where there is no word for that, is left out."""
        if self._older:
            return None if message.test else older_message(alert, message.zone)
        return _json({**alert, "test": True} if message.test else alert)


def older_message(alert: Alert, zone: str) -> bytes | None:
    """The alert as the older drone system's alert topic has them; None where it is about no vehicle and no offence.

    It says what the first event of the evidence says; an offence that needs a person has the code 0 there.
    """
    event = alert["evidence"][0] if alert["evidence"] else {}
    data = event.get("data") or {}
    code = "0" if data.get("needs_human") else data.get("violation_code")
    if data.get("plate") is None and code is None:
        return None
    drone = data.get("device_id") if data.get("device_kind", "drone") == "drone" else None
    known = {
        "drone_id": int(drone) if isinstance(drone, str) and drone.isdecimal() else drone,
        "plate_id": data.get("plate"),
        "address": place_in_words(alert) or None,
        "time": moment(event["time"], zone).strftime("%m/%d/%Y %I%M%p")[:-1],
        "violation_code": None if code is None else str(code),
    }
    return _json(known)


def _json(told: Alert) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
