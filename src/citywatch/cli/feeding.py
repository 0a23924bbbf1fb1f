"""The desk of a console, kept up with the alert topic; what people do here that is an event goes to the event topic.

Everything may be told twice and counts once: alerts go in by their id before Kafka hears that they are read, events
leave the desk when Kafka has them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from citywatch.background import Background
from citywatch.cli.log import say
from citywatch.errors import SourceError, StoreError
from citywatch.stores.desk.told import Message, facts_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from citywatch.connections.kafka.address import Address
    from citywatch.connections.kafka.producing import Producing
    from citywatch.stores.desk import AnyDesk

GROUP = "citywatch-console"
MOST = 5_000
"""Messages a transaction."""

STATUS = "feed"
"""Key of the desk's status: what of the topic is not read."""

_PATIENCE_S = 0.2
_LOOK_S = 2.0
_PAUSES_S = (1, 2, 5, 10, 30)


class Feeding(Background):
    """A thread that hears the alert topic; a context manager.

    Parameters
    ----------
    address
        The topic of alerts. All consoles on one database are one group, whose members share the partitions.
    events
        Topic that corrections go to.
    desk
        Opens the desk.
    """

    def __init__(self, address: Address, events: str, desk: Callable[[], AnyDesk]) -> None:
        super().__init__("alert topic")
        self._address, self._events, self._desk = address, events, desk
        self._looked = -_LOOK_S

    def work(self) -> None:
        """Hear, take in, send, in turn."""
        from confluent_kafka import KafkaException

        from citywatch.connections.kafka.configuration import properties
        from citywatch.connections.kafka.producing import Producing

        try:
            given = properties(self._address.configuration)
            with closing(self._consumer(given)) as consumer, Producing(self._address.servers, given) as producing:
                while not self.stopping.is_set():
                    self._round(consumer, producing)
        except KafkaException as error:
            raise SourceError(f"{self._address.name}: {error.args[0].str()}") from error

    def _consumer(self, given: Mapping[str, str]) -> Consumer:
        from confluent_kafka import Consumer

        from citywatch.connections.kafka.configuration import client

        group = self._address.group or GROUP
        heard = client(self._address.servers, given, group_id=group, enable_auto_commit=False)
        consumer = Consumer({**heard, "auto.offset.reset": "earliest"})
        consumer.subscribe(list(self._address.topics))
        return consumer

    def _round(self, consumer: Consumer, producing: Producing) -> None:
        self._measure(consumer)
        messages = self._heard(consumer)
        if messages:
            self._patiently(lambda desk: _take_in(desk, messages))
            self._commit(consumer)
        self._patiently(lambda desk: self._send(desk, producing))

    def _measure(self, consumer: Consumer) -> None:
        """Write down, now and then, what is not read yet: by all consoles of the group, for any of them to show."""
        from confluent_kafka import KafkaException

        from citywatch.connections.kafka.unread import unread

        if time.monotonic() < self._looked + _LOOK_S:
            return
        try:
            lag = {self._address.name: unread(consumer, self._address.topics)}
        except KafkaException:
            return  # nobody knows it now: what was known grows old on the desk, and whoever reads the topic says why
        finally:
            self._looked = time.monotonic()
        self._patiently(lambda desk: desk.set_status({STATUS: {"lag": lag}}))

    def _heard(self, consumer: Consumer) -> list[Message]:
        from citywatch.connections.kafka.faults import HINTS

        found = []
        for message in consumer.consume(MOST, _PATIENCE_S):
            if (error := message.error()) is None:
                place = f"{message.topic()}/{message.partition()}"
                found.append(Message(place, message.offset() or 0, message.value() or b""))
            elif error.code() in HINTS:
                raise SourceError(f"{self._address.name}: {error.str()}", hint=HINTS[error.code()])
        return found

    def _commit(self, consumer: Consumer) -> None:
        """Tell Kafka how far we are; where it cannot hear that, the same alerts come again, and change nothing."""
        from confluent_kafka import KafkaException

        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            say(f"{self._address.name} does not know how far its alerts are read: {error.args[0].str()}")

    def _send(self, desk: AnyDesk, producing: Producing) -> None:
        from citywatch.connections.kafka.producing import Outgoing, UnwrittenError

        waiting = desk.take_inbox()
        if not waiting:
            return
        try:
            refused = producing.write(self._events, [Outgoing(_key(event), event.encode()) for _, event in waiting])
        except UnwrittenError as error:
            what = f"{len(waiting)} events for {self._events} wait: {error}"
            raise StoreError(what, hint=error.hint or None) from error
        for number, why in refused.items():
            say(f"{self._events} never takes this event: {why}: {waiting[number][1][:1000]}")
        desk.clear_inbox(waiting[-1][0])

    def _patiently(self, work: Callable[[AnyDesk], None]) -> None:
        """Do it on the desk; while that cannot be reached, say so once and try again."""
        for attempt in range(1 << 30):
            try:
                with self._desk() as desk:
                    work(desk)
            except StoreError as error:
                if attempt == 0:
                    say(f"{error}; it is tried again until it works")
                if self.stopping.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]):
                    raise
            else:
                if attempt:
                    say("it works again")
                return


def _take_in(desk: AnyDesk, messages: Sequence[Message]) -> None:
    facts, refused = facts_of(messages)
    desk.put_rejected(refused)
    desk.put_facts(facts)


def _key(event: str) -> str:
    """A correction follows the event that it is about: the same key as its device's."""
    said = json.loads(event)
    data = said.get("data") or {}
    return str(data.get("device_id") or data.get("corrects_source") or said.get("id") or uuid.uuid4().hex)
