"""`citywatch alerts tail --from kafka://…`: the older system's terminal alarm, for its own topic and for ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.log import say
from citywatch.connections.kafka import configuration
from citywatch.connections.kafka.address import ALERTS, BEGINNING, Address, parse
from citywatch.errors import SourceError, UsageError
from citywatch.notify.terminal import older_line

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from citywatch.connections.kafka.faults import Heard

_LOOK_S = 0.2
_PATIENCE_S = 15.0


def tail_topic(address: str, *, zone: str, form: str, once: bool) -> None:
    """Print the alerts of topics as they come, or what is there. Raises UsageError, SourceError."""
    where = parse(address, ("config", "from"), ALERTS)
    configuration.require()
    from confluent_kafka import KafkaException

    from citywatch.connections.kafka import faults

    alarm = Alarm(zone, form)
    try:
        _follow(where, alarm, once=once)
    except KafkaException as error:
        failed = UsageError if faults.wrongly_set(faults.of(error)) else SourceError
        raise faults.explained(address, error, failed) from error
    finally:
        if alarm.unread:
            click.echo(f"citywatch: {alarm.unread:,} messages are no alerts", err=True)


class Alarm:
    """Prints the messages of an alert topic: ours in the form of the contract, or the older system's."""

    def __init__(self, zone: str, form: str) -> None:
        self._zone, self._form = zone, form
        self.unread = 0
        """Messages that are no alerts."""

    def ring(self, message: bytes | None) -> None:
        """Print one message."""
        try:
            said: Any = json.loads(message or b"")
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self.unread += 1
        elif self._form == "ndjson":
            click.echo(_line(said))
        elif (line := older_line(said, self._zone)) is None:
            self.unread += 1
        else:
            click.echo(line)


def _line(said: dict[str, Any]) -> str:
    line = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a character of two
        return json.dumps(said, separators=(",", ":"))
    return line


def _follow(where: Address, alarm: Alarm, *, once: bool) -> None:
    from confluent_kafka import Consumer, KafkaError, KafkaException

    from citywatch.connections.kafka import faults

    given = configuration.properties(where.configuration)
    settings = configuration.client(where.servers, given, group_id="citywatch-tail", enable_auto_commit=False)
    # It is no member of a group: everybody who looks sees all.
    heard = faults.Heard()
    ours = {"enable.partition.eof": True, "auto.offset.reset": "earliest", "error_cb": heard}
    consumer = Consumer({**settings, **ours})
    try:
        left = _begin(consumer, where, heard, whole=once)
        if not once:
            say(f"listening to {where.name}")
        while left or not once:
            message = consumer.poll(_LOOK_S)
            if message is None:
                continue
            if (error := message.error()) is None:
                alarm.ring(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic(), message.partition()))
            elif error.code() in faults.HINTS or once:
                raise KafkaException(error)
    finally:
        consumer.close()


def _begin(consumer: Consumer, where: Address, heard: Heard, *, whole: bool) -> set[tuple[str | None, int | None]]:
    """Read all partitions, from their beginnings or from now on; gives their names and numbers."""
    from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition

    start = OFFSET_BEGINNING if whole or where.start == BEGINNING else OFFSET_END
    there = heard.metadata(consumer, _PATIENCE_S).topics
    if missing := [topic for topic in where.topics if topic not in there]:
        raise SourceError(f"there is no topic {missing[0]} at {where.servers}", hint="it is made by who writes to it")
    parts = [(topic, number) for topic in where.topics for number in there[topic].partitions]
    consumer.assign([TopicPartition(topic, number, start) for topic, number in parts])
    return set(parts)
