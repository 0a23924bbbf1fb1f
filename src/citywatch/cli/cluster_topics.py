"""What `citywatch doctor --cluster` says of Kafka: brokers, topics, replicas, and rights that this user lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from citywatch.cli.finding import Finding
from citywatch.connections.kafka import configuration
from citywatch.connections.kafka.address import ALERTS, Address, parse
from citywatch.errors import StoreError

if TYPE_CHECKING:
    from confluent_kafka import KafkaException

_WAIT_S = 10.0
_GROUPS = ("citywatch-", "spark-kafka-source-")
"""How the groups begin whose names are made up: of a data directory, of a job on Spark."""


class _Wanted(NamedTuple):
    """A right that this user has to have: `read` or `write`, on a topic or a group."""

    operation: str
    kind: str
    name: str

    def given(self, user: str) -> str:
        """The command that gives it; for all groups of ours, or of Spark's, at once."""
        begins = [prefix for prefix in _GROUPS if self.kind == "group" and self.name.startswith(prefix)]
        name = f"{begins[0]} --resource-pattern-type prefixed" if begins else self.name
        words = f"--operation {self.operation.title()} --{self.kind} {name}"
        return f"kafka-acls $KAFKA --add --allow-principal User:{user} {words}"


def kafka(text: str, data: Path) -> Iterator[Finding]:
    """The brokers behind an address, its topics, and whether they can be read, and written where `write` names them."""
    place, _, query = text.partition("?")
    options = [part for part in query.split("&") if part]
    written = [part.removeprefix("write=") for part in options if part.startswith("write=")]
    others = "&".join(part for part in options if not part.startswith("write="))
    address = parse(f"{place}?{others}" if others else place)
    writes = [name for names in written for name in names.split(",")]
    configuration.require()
    from confluent_kafka import KafkaException

    given = configuration.properties(address.configuration)
    try:
        yield from _Looking(address, given, writes, data).findings()
    except KafkaException as error:
        from citywatch.connections.kafka.faults import HINTS, of, words

        hint = HINTS.get(of(error).code(), "is it running, and is this the listener for clients?")
        raise StoreError(f"{text}: {words(of(error))}", hint=hint) from error


class _Looking:
    """One address. Topics in `writes` (default: that of alerts, if it is among them) are written, others are read."""

    def __init__(self, address: Address, given: dict[str, str], writes: Sequence[str], data: Path) -> None:
        from confluent_kafka.admin import AdminClient

        from citywatch.connections.kafka.faults import Heard

        self._address, self._writes, self._data = address, writes or [ALERTS], data
        self._topics = tuple(dict.fromkeys([*address.topics, *writes]))
        self._user = given.get("sasl.username", "NAME")
        self._secured = "security.protocol" in given
        self._heard = Heard()
        settings = configuration.client(address.servers, given)
        self._admin = AdminClient(settings | {"error_cb": self._heard})

    def findings(self) -> Iterator[Finding]:
        """Raises KafkaException where nobody answers."""
        brokers = len(self._heard.metadata(self._admin, _WAIT_S).brokers)
        yield Finding("ok", f"{self._address.name}: {brokers} brokers answer")
        if not self._secured:
            local = all(part.startswith(("127.", "localhost")) for part in self._address.servers.split(","))
            what = "the connection is not encrypted, and nobody signs in"
            yield Finding(
                "ok" if local else "note", what, "" if local else "security.protocol=SASL_SSL; see the how-to"
            )
        for topic in self._topics:
            yield from self._topic(topic)
        if any(topic not in self._writes for topic in self._topics):
            yield from self._group()

    def _topic(self, topic: str) -> Iterator[Finding]:
        from confluent_kafka import KafkaError, KafkaException, TopicCollection

        wanted = _Wanted("write" if topic in self._writes else "read", "topic", topic)
        asked = self._admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True)
        try:
            described = asked[topic].result(_WAIT_S)
        except KafkaException as error:
            if _code(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                yield self._lacks(wanted, f"topic {topic} may not be seen")
            elif _code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART:
                make = f"kafka-topics $KAFKA --create --topic {topic} --partitions 4"
                yield Finding("bad", f"topic {topic} is not there", make)
            else:
                raise
            return
        least = min(len(partition.isr) for partition in described.partitions)
        few = least < min(len(partition.replicas) for partition in described.partitions)
        says = f"topic {topic}: {len(described.partitions)} partitions, at least {least} replicas in step"
        yield Finding("note" if few else "ok", says, "a broker is down, or behind" if few else "")
        yield self._judged(wanted, described.authorized_operations)

    def _group(self) -> Iterator[Finding]:
        from confluent_kafka import KafkaError, KafkaException

        group = self._address.group or f"citywatch-{_reader(self._data)}"
        wanted = _Wanted("read", "group", group)
        try:
            yield self._judged(wanted, self._described(group).authorized_operations)
        except KafkaException as error:
            if _code(error) == KafkaError.GROUP_AUTHORIZATION_FAILED:
                yield self._lacks(wanted, "")
            elif _code(error) == KafkaError.GROUP_ID_NOT_FOUND:
                yield Finding("ok", f"group {group}: nobody has read with it yet, and this user may")
            else:
                raise

    def _described(self, group: str) -> Any:
        """What the brokers say of a group; asked again while they have only begun to know of groups."""
        from confluent_kafka import KafkaError, KafkaException

        passing = [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE]
        passing += [KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
        deadline = time.monotonic() + _WAIT_S
        while True:
            asked = self._admin.describe_consumer_groups([group], include_authorized_operations=True)
            try:
                return asked[group].result(_WAIT_S)
            except KafkaException as error:
                if _code(error) not in passing or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _judged(self, wanted: _Wanted, operations: Any) -> Finding:
        may = {operation.name.lower() for operation in operations or ()}
        if not may or wanted.operation in may:  # a broker without an authorizer names none
            return Finding("ok", f"{wanted.kind} {wanted.name}: this user may {wanted.operation} it")
        return self._lacks(wanted, "")

    def _lacks(self, wanted: _Wanted, before: str) -> Finding:
        what = f"this user ({self._user}) may not {wanted.operation} the {wanted.kind} {wanted.name}"
        return Finding("bad", f"{before}: {what}" if before else what, wanted.given(self._user))


def _code(error: KafkaException) -> int:
    code: int = error.args[0].code()
    return code


def _reader(data: Path) -> str:
    """The name of this data directory, where it has one already."""
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

    directory = DataDirectory(data)
    if not directory.desk.exists():
        return "new"
    with Desk(directory.desk) as desk:
        return f"{desk.cursor('directory'):012x}" if desk.has_cursor("directory") else "new"
