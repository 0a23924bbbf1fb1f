"""A session at an MQTT 5 broker: connects, subscribes, comes back by itself, and acknowledges when it is told to."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from citywatch.errors import SourceError
from citywatch.sources.inbox import Inbox
from citywatch.sources.mqtt.address import PASSWORD, Address
from citywatch.sources.mqtt.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

IN_FLIGHT = 2_000
"""Messages that the broker may send without having been told that those before are safe (`receive maximum`)."""

_KEEPALIVE_S = 30
_BACK_OFF_S = (1, 30)
_BRIEF_S = 10
_OFTEN = 2
"""Not every broker says that another client of the same name has come: connections that never last tell it as well."""
_AT_LEAST_ONCE = 1
_OWN_NAMES = "two readers need different names: ?client=NAME"
_HINTS = {
    "Bad user name or password": f"name the user in the address, and the password in {PASSWORD} or {PASSWORD}_FILE",
    "Not authorized": f"name the user in the address, and the password in {PASSWORD} or {PASSWORD}_FILE",
    "Client identifier not valid": "name another with ?client=",
    "Unsupported protocol version": "the broker has to speak MQTT 5",
}
"""Refusals that do not pass by themselves, and what to do about them."""


class Session:
    """One subscription of one client. Messages go into `inbox` as they come; a fault that stays ends the inbox."""

    def __init__(self, address: Address, inbox: Inbox[Message]) -> None:
        self.trouble: str | None = "not connected yet"
        """Why nothing can be heard at present; None = it can."""
        self._address = address
        self._inbox = inbox
        self._lock = threading.Lock()
        self._connection = 0
        self._was_connected = False
        self._refusal = False
        self._since = 0.0
        self._brief = 0
        self._client = _client(address, self._broken)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unreachable
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._heard

    def open(self) -> None:
        """Connect, now and whenever the connection is lost, in a thread of its own."""
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types for these
        kept.SessionExpiryInterval = self._address.expiry
        kept.ReceiveMaximum = IN_FLIGHT
        host, port = self._address.host, self._address.port
        self._client.connect_async(host, port, _KEEPALIVE_S, clean_start=False, properties=kept)
        self._client.loop_start()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """The broker may forget these. Those of an earlier connection are its to send again: they count once."""
        with self._lock:
            for message in messages:
                if message.packet and message.connection == self._connection:
                    self._client.ack(message.packet, _AT_LEAST_ONCE)

    def close(self) -> None:
        """Leave; the broker keeps the session, and what comes for it."""
        self._inbox.end()
        self._client.disconnect()
        self._client.loop_stop()

    def _broken(self, error: Exception) -> None:
        self._inbox.end(SourceError(f"{self._address.name}: reading stopped: {error!r}", hint="start again"))

    def _connected(self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None) -> None:
        if reason.is_failure:
            self._refused(f"refuses the connection: {reason}", str(reason))
            return
        options = SubscribeOptions(qos=_AT_LEAST_ONCE, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        client.subscribe(self._address.topic, options=options)

    def _subscribed(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        if reasons[0].is_failure:
            self._refused(f"refuses the topic {self._address.topic}: {reasons[0]}", str(reasons[0]))
            return
        self._was_connected, self.trouble, self._since = True, None, time.monotonic()

    def _refused(self, what: str, reason: str) -> None:
        """A refusal at the very first is a mistake in the address; later the broker may come to itself."""
        self.trouble, self._refusal = f"{self._broker} {what}", True
        if reason in _HINTS and not self._was_connected:
            self._inbox.end(SourceError(f"{self._address.name}: {self.trouble}", hint=_HINTS[reason]))

    def _unreachable(self, _: Client, __: Any) -> None:
        # Called where the error is being handled; paho gives it to nobody.
        error = sys.exc_info()[1]
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.trouble = f"{self._broker} cannot be reached: {words}"

    def _disconnected(
        self, _: Client, __: Any, flags: DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        with self._lock:
            self._connection += 1
        named = f"as {self._address.client!r}"
        if str(reason) == "Session taken over":
            what = f"{self._address.name}: another program has come to {self._broker} {named}"
            self._inbox.end(SourceError(what, hint=_OWN_NAMES))
        if self._refusal:
            self._refusal = False
            return  # why is known better already
        by = "the broker" if flags.is_disconnect_packet_from_server else "the network"
        ended = f"the connection to {self._broker} was ended by {by}: {reason}"
        if self.trouble is not None:
            self.trouble = f"{ended}; it was not ready yet: the broker has to speak MQTT 5"
            return
        self.trouble = ended
        self._brief = self._brief + 1 if time.monotonic() - self._since < _BRIEF_S else 0
        if self._brief >= _OFTEN:
            self.trouble += f"; again and again: another program may come to it {named} ({_OWN_NAMES})"

    def _heard(self, _: Client, __: Any, message: MQTTMessage) -> None:
        packet = message.mid if message.qos else 0
        self._inbox.wait_for_room()  # meanwhile nothing more is read from the network
        self._inbox.put([Message(bytes(message.payload), packet, self._connection)])

    @property
    def _broker(self) -> str:
        return f"the broker at {self._address.host}:{self._address.port}"


class _Client(Client):
    """Says when its thread has broken, where paho's own would only print that."""

    def __init__(self, name: str, broken: Callable[[Exception], None]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5, manual_ack=True)
        self._says_broken = broken

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:
            self._says_broken(error)
            return MQTTErrorCode.MQTT_ERR_UNKNOWN


def _client(address: Address, broken: Callable[[Exception], None]) -> Client:
    client = _Client(address.client, broken)
    client.reconnect_delay_set(*_BACK_OFF_S)
    if address.user:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        ca, cert, key = (str(file) if file else None for file in (address.ca, address.cert, address.key))
        try:
            client.tls_set(ca, cert, key)
        except (OSError, ValueError) as error:
            what = f"{address.name}: cannot use the certificates: {error}"
            raise SourceError(what, hint="look at the files named by ca, cert and key") from error
    return client
