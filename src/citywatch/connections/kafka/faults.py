"""Errors of the client in words, and what to do about those that do not pass by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from citywatch.errors import CitywatchError

if TYPE_CHECKING:
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import ClusterMetadata

_SIGN_IN = "set security.protocol, sasl.mechanism, sasl.username and sasl.password in the file of ?config=FILE"
_RIGHTS = "give the user the right: kafka-acls --add --allow-principal User:NAME --operation Read --topic T --group G"

_PROPERTIES = "look at Kafka's properties: the file of ?config=FILE, and CITYWATCH_KAFKA_… in the environment"
_MAKE = "make the topic: kafka-topics --create --topic T --partitions N"

HINTS: dict[int, str] = {
    KafkaError._INVALID_ARG: _PROPERTIES,
    KafkaError._AUTHENTICATION: _SIGN_IN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _SIGN_IN,
    KafkaError._SSL: "set security.protocol=SSL or SASL_SSL and ssl.ca.location in the file of ?config=FILE",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError._UNKNOWN_TOPIC: _MAKE,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MAKE,
    KafkaError.FENCED_INSTANCE_ID: "another process reads with this data directory's name: is it a copy? ?group=NAME",
}
"""Errors that a person has to do something about."""

_SILENCE = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
)
_MOMENT = re.compile(r" \(after [0-9]+ms in state [A-Z_]+(, [0-9]+ identical error\(s\) suppressed)?\)")
"""Differs each time, for what is the same trouble."""
_PREFIX = re.compile(r"^(\[thrd:[^\]]*\]:? ?|[a-z_]+://[^ ]+: |[^ ]+:[0-9]+/[a-z0-9]+: )")


def words(error: KafkaError) -> str:
    """What happened, in a few words."""
    return _MOMENT.sub("", _PREFIX.sub("", error.str())).strip() or error.name()


def of(exception: KafkaException) -> KafkaError:
    """The error inside of an exception."""
    error: KafkaError = exception.args[0]
    return error


def explained(what: str, exception: KafkaException, failed: type[CitywatchError]) -> CitywatchError:
    """What failed, in words, with what to do about it: to be raised from the exception."""
    fault = of(exception)
    return failed(f"{what}: {words(fault)}", hint=HINTS.get(fault.code()))


def wrongly_set(error: KafkaError) -> bool:
    """Whether a person has set a property that there is not, or to what it cannot be: wrong usage."""
    return bool(error.code() == KafkaError._INVALID_ARG)


class Heard:
    """What a client last said of its connections: its `error_cb`."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keep an error; that all brokers are down follows from others that say why."""
        if self._last is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last = error

    def cause(self, error: KafkaError) -> KafkaError:
        """Of an error that only says that nobody answered why that is, as far as it was heard."""
        return self._last if self._last is not None and error.code() in _SILENCE else error

    def metadata(self, client: Consumer | AdminClient, patience: float) -> ClusterMetadata:
        """What there is, asked by the client whose errors these are; raises KafkaException with the cause."""
        try:
            return client.list_topics(timeout=patience)
        except KafkaException as error:
            client.poll(0)
            raise KafkaException(self.cause(of(error))) from error
