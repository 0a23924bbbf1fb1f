"""A member of a consumer group: hears Kafka in a thread of its own, and tells it what is safe."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from citywatch.connections.kafka import configuration, faults
from citywatch.connections.kafka.address import Address
from citywatch.errors import SourceError, UsageError
from citywatch.sources.inbox import Inbox
from citywatch.sources.kafka.beginning import Beginnings, Reached
from citywatch.sources.kafka.partitions import Key, Partition, Partitions, key_of, upto_of

if TYPE_CHECKING:
    from confluent_kafka import Message

_LOOK_S = 0.1
_AT_ONCE = 5_000
_TELL_S = 1.0
_REVOKE_S = 10.0
_PAUSE_S = 1.0
_MOMENT_S = 0.5
_BRIEF_S = 30.0
_OFTEN = 3
"""A consumer that is fenced by its own former self ends once; one that another has the name of, again and again."""
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)
_FORBIDDEN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
_ENDINGS = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
"""A consumer that has met one of these reads no more, though not each of them says so."""
_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


class Session:
    """Reads the topics of an address into `inbox`. A fault that stays ends the inbox.

    `say` takes what people should know.
    """

    def __init__(self, address: Address, inbox: Inbox[Message]) -> None:
        self.partitions = Partitions()
        self.say: Callable[[str], None] = lambda _: None
        self._address, self._inbox = address, inbox
        self._given = configuration.properties(address.configuration)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._beginnings: Beginnings | None = None
        self._reader = ""
        self._reachable, self._was_reachable = False, False
        self._last_error = "no answer yet"
        self._fatal: KafkaError | None = None
        self._ended_early = 0
        self._missing: dict[str, str] = {}
        self._gone: list[Key] = []
        self._told_at = 0.0
        self._resting = False

    @property
    def trouble(self) -> str | None:
        """Why nothing can be heard at present; None = it can."""
        if not self._reachable:
            return f"{self._address.servers} cannot be reached: {self._last_error}"
        if self._missing:
            return "; ".join(self._missing.values())
        return None if self.partitions.parts() is not None else "no partitions are assigned yet"

    def open(self, reader: str, reached: Reached) -> None:
        """Begin, in a thread of its own; see `Beginnings`. `reader` is a name that no other data directory has."""
        group = self._address.group or f"citywatch-{reader}"
        try:
            settings = configuration.client(self._address.servers, self._given)
            self._beginnings = Beginnings(
                settings, group=group, reader=reader, start=self._address.start, reached=reached, say=self.say
            )
            self._reader = reader
            made = partial(self._consumer, settings, group, reader)
            consumer = made()
        except KafkaException as error:
            raise faults.explained(self._address.name, error, UsageError) from error
        self._thread = threading.Thread(
            target=self._run, args=(consumer, made), name=f"kafka {self._address.servers}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Leave; what is not committed is read again by whoever comes next."""
        self._stop.set()
        self._inbox.end()
        if self._thread is not None:
            self._thread.join()

    def _consumer(self, settings: Mapping[str, Any], group: str, reader: str) -> Consumer:
        # A member that has a name takes its own place again after a kill; others would wait until it is given up.
        return Consumer(
            {
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 2_000,
                "queued.max.messages.kbytes": 16 << 10,
                "fetch.queue.backoff.ms": 20,
                **settings,
                "group.id": group,
                "group.instance.id": f"citywatch-{reader}",
                "partition.assignment.strategy": "cooperative-sticky",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "statistics.interval.ms": 500,
                "stats_cb": self._counted,
                "error_cb": self._failed,
                "on_commit": self._answered,
            }
        )

    def _run(self, consumer: Consumer, made: Callable[[], Consumer]) -> None:
        """Read, by another consumer when one has ended by itself, until this is closed."""
        try:
            while not self._stop.is_set():
                began, self._fatal = time.monotonic(), None
                error = self._read(consumer)
                if error is not None:
                    self._ended_early = self._ended_early + 1 if time.monotonic() - began < _BRIEF_S else 1
                    self._last_error = faults.words(error)
                    if self._ended_early >= _OFTEN:
                        self._end(error)
                        return
                    self.partitions.lose()
                    self._stop.wait(_PAUSE_S)
                    consumer, self._resting = made(), False
        except Exception as error:
            self._inbox.end(SourceError(f"{self._address.name}: reading stopped: {error!r}", hint="start again"))
        finally:
            if self._beginnings is not None:
                self._beginnings.close()

    def _read(self, consumer: Consumer) -> KafkaError | None:
        """Read until this is closed, or the consumer has an error that it does not survive."""
        try:
            topics = list(self._address.topics)
            consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            while not self._stop.is_set() and self._fatal is None:
                self._rest_when_full(consumer)
                self.partitions.look()
                self._look_again(consumer)
                self._hear(self._poll(consumer))
                if time.monotonic() - self._told_at > _TELL_S:
                    self._tell(consumer)
            if self._fatal is None:
                self._tell(consumer, wait=True)
        except KafkaException as error:
            self._fatal = self._fatal or faults.of(error)
        finally:
            consumer.close()
        return self._fatal

    def _poll(self, consumer: Consumer) -> list[Message]:
        """What there is, as soon as there is something."""
        first = consumer.poll(_LOOK_S)
        return [] if first is None else [first, *consumer.consume(_AT_ONCE, 0)]

    def _hear(self, messages: Sequence[Message]) -> None:
        """Leave messages, those before an end of a partition before the end is noted."""
        good: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            else:
                self._leave(good)
                good = []
                self._noted(error, message)
        self._leave(good)

    def _leave(self, messages: Sequence[Message]) -> None:
        upto = upto_of(messages)
        ours = {key for key, offset in upto.items() if self.partitions.heard(key, offset)}
        if len(ours) < len(upto):
            messages = [message for message in messages if key_of(message) in ours]
        if messages:
            self._inbox.put(messages)

    def _noted(self, error: KafkaError, message: Message) -> None:
        """What came instead of a message."""
        topic, partition = key_of(message)
        if error.code() == KafkaError._PARTITION_EOF:
            self.partitions.ended((topic, partition), message.offset() or 0)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART or error.code() in _FORBIDDEN:
            self._refused(error, topic)
        elif error.code() in _GONE:
            self._gone.append((topic, partition))
        elif error.fatal() or error.code() in _ENDINGS:
            self._fatal = error
        else:
            self._last_error = faults.words(error)

    def _refused(self, error: KafkaError, topic: str) -> None:
        """A topic that is not there, or not for us: it may be made, or allowed."""
        if error.code() in _FORBIDDEN and self.partitions.parts() is None:
            self._end(error)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._missing[topic] = f"there is no topic {topic} at {self._address.servers}"
        else:
            self._missing[topic] = f"{topic}: {faults.words(error)}"

    def _failed(self, error: KafkaError) -> None:
        """The client's own word about connections: some of it passes, and what is wrong from the beginning does not."""
        self._last_error = faults.words(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._reach(False)
        if error.fatal() or error.code() in _ENDINGS:
            self._fatal = error
        elif error.code() in _REFUSALS and not self._was_reachable:
            self._end(error)

    def _end(self, error: KafkaError) -> None:
        what = f"{self._address.name}: {faults.words(error)}"
        self._inbox.end(SourceError(what, hint=faults.HINTS.get(error.code(), "start again")))
        self._stop.set()

    def _counted(self, text: str) -> None:
        """The client's statistics: whether a broker can be reached, and how much waits."""
        told = json.loads(text)
        self._reach(any(one["state"] == "UP" for one in told["brokers"].values() if one["nodeid"] >= 0))
        for topic, of in told.get("topics", {}).items():
            for number, partition in of["partitions"].items():
                if partition["hi_offset"] >= 0:
                    self.partitions.high((topic, int(number)), partition["hi_offset"])

    def _reach(self, reachable: bool) -> None:
        self._reachable = reachable
        self._was_reachable |= reachable
        if not reachable:
            self.partitions.doubt()

    # what is ours

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Begin partitions where they were left."""
        found, expected = self._found([(one.topic, one.partition) for one in given])
        for topic, _ in found:
            self._missing.pop(topic, None)
        self.partitions.assign(found, expected)
        consumer.incremental_assign([TopicPartition(*key, one.heard) for key, one in found.items()])
        if self._resting:
            consumer.pause([TopicPartition(*key) for key in found])

    def _found(self, keys: Sequence[Key]) -> tuple[dict[Key, Partition], set[Key]]:
        """Where partitions begin, and which are to be ours, alone; asked until there is an answer."""
        while self._beginnings is not None and keys and not self._stop.is_set():
            try:
                expected = self._beginnings.all_of(self._address.topics) if self._address.group is None else set()
                return self._beginnings.find(keys), expected
            except KafkaException as error:
                self._last_error = faults.words(faults.of(error))
                self._stop.wait(_PAUSE_S)
        return {}, set()

    def _revoked(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        """Let what was heard of them become safe, so that whoever gets them begins behind it."""
        keys: list[Key] = [(one.topic, one.partition) for one in taken]
        self.partitions.wait_until_safe(keys, _REVOKE_S, self._stop.is_set)
        self._tell(consumer)  # nobody gets them before Kafka has heard it
        self.partitions.revoke(keys)
        consumer.incremental_unassign(taken)

    def _lost(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        """Somebody else may read them already."""
        self.partitions.lose([(one.topic, one.partition) for one in taken])
        consumer.incremental_unassign(taken)

    def _look_again(self, consumer: Consumer) -> None:
        """Begin anew what was deleted before we came to it; see whether something came that we could not hear of."""
        if self._gone:
            keys, self._gone = self._gone, []
            found, _ = self._found(keys)
            self.partitions.assign(found)
            for key, partition in found.items():
                consumer.seek(TopicPartition(*key, partition.heard))
        if self._reachable and self._beginnings is not None:
            until = time.monotonic() + _MOMENT_S  # what comes meanwhile has to be heard soon
            try:
                for key in self.partitions.doubtful():
                    self.partitions.still_ended(key, self._beginnings.end(key))
                    if time.monotonic() > until:
                        break
            except KafkaException as error:
                self._last_error = faults.words(faults.of(error))

    def _rest_when_full(self, consumer: Consumer) -> None:
        """Hear nothing while too much is not committed; the group must go on hearing of us.

        A client that rests throws away what it has fetched, so it does not for a moment.
        """
        if not self._resting:
            self._inbox.wait_for_room(_MOMENT_S)
        if (full := self._inbox.full) != self._resting:
            ours = [TopicPartition(*key) for key in self.partitions.assigned()]
            (consumer.pause if full else consumer.resume)(ours)
            self._resting = full

    def _tell(self, consumer: Consumer, *, wait: bool = False) -> None:
        """Tell Kafka what is safe: for its own tools, and for other members. We ourselves begin where we stopped."""
        self._told_at = time.monotonic()
        untold = self.partitions.untold().items()
        offsets = [TopicPartition(*key, offset, metadata=self._reader) for key, offset in untold]
        if not offsets:
            return
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._answered(faults.of(error), offsets)

    def _answered(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        """What Kafka could not take in, as while its group is being parted anew, it is told again."""
        refused = [one for one in offsets if error is not None or one.error is not None]
        self.partitions.not_told((one.topic, one.partition) for one in refused)
        if error is not None:
            self._last_error = faults.words(error)
