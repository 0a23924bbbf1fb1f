"""A signed HTTP POST in the style of Standard Webhooks: a receiver can tell that it is ours, and whether it is new."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, ClassVar

from citywatch.alert import State
from citywatch.delivery import Follow, Kind
from citywatch.errors import TargetRefusedError
from citywatch.notify.http import Door, send
from citywatch.notify.message import Message, headline
from citywatch.notify.options import DURATION, NETWORKS, PATH, SECRETS, URL, Option
from citywatch.notify.secret import Given, Secret
from citywatch.settings import SECOND
from citywatch.wording import iso

PREFIX = "whsec_"

DOOR: tuple[Option, ...] = (
    Option("allow", NETWORKS, "networks that are not public and may be reached all the same", ()),
    Option("ca_file", PATH, "certificates of own authorities, PEM; default: those of the system", None),
    Option("timeout", DURATION, "a request that takes longer has failed", 10 * SECOND),
)
"""Options of everything that makes HTTP requests."""


class Webhook:
    """Posts JSON, with the headers of Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

    The body is `{"type", "timestamp", "headline", "data", "link"}`: type `alert.raised` with the alert as data and its
    `runbook`, `alerts.digest` with `count`, `rules` and up to a hundred `alerts`, or `test`. By a route that follows,
    `alert.closed` (with the alert's `outcome`) and `alert.updated` tell of the same alert later, or several at once in
    a digest. `timestamp` is when the message was made, `webhook-timestamp` when it is sent. `webhook-id` is that of
    the alert for the first message and another for each change; it stays the same when a message is sent again. The
    signature is `v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64. A secret that begins with `whsec_` is
    base64. Redirects are not followed, and addresses that are not public are refused unless `allow` names their
    network.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("url", URL, "where to post to"),
        Option("secret", SECRETS, "signs the message; several while one is being replaced", ()),
        *DOOR,
    )
    RATE = "60/1m"
    BUNDLE = 1
    FOLLOWS = Follow.NOTHING
    TOGETHER = True

    def __init__(self, *, url: Given, secret: tuple[Secret, ...], **door: Any) -> None:
        self._url = url
        self._secrets = secret
        self._door = door_of(**door)

    def send(self, message: Message) -> str:
        """Post it; see `citywatch.notify.Notifier`."""
        body = json.dumps(payload(message), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **signed(message, body, self._secrets)}
        return send(self._url.read(), body=body, headers=headers, door=self._door)


def door_of(*, allow: Any, ca_file: Any, timeout: int) -> Door:
    """The options of `DOOR` as they are used."""
    return Door(allow=allow, ca_file=ca_file, timeout=timeout / SECOND)


def payload(message: Message) -> dict[str, Any]:
    """The JSON that is posted."""
    about: dict[str, Any] = {"type": _type(message), "timestamp": iso(message.made or message.at)}
    if (alert := message.single) is not None:
        runbook = message.runbooks.get(alert["rule"])
        return {**about, "data": alert, "headline": headline(message), "runbook": runbook, "link": message.link(alert)}
    data = {"why": message.kind, "count": message.total, "rules": dict(message.rules), "alerts": list(message.alerts)}
    return {**about, "data": data, "headline": headline(message), "link": message.link()}


def _type(message: Message) -> str:
    if message.test:
        return "test"
    if message.kind is Kind.UPDATE and message.single is not None:
        return "alert.closed" if message.single["state"] == State.CLOSED else "alert.updated"
    return "alert.raised" if message.kind is Kind.ALERT else "alerts.digest"


def signed(message: Message, body: bytes, secrets: tuple[Secret, ...]) -> dict[str, str]:
    """The headers that name the message, and sign it with each of the secrets."""
    stamp = str(message.at // SECOND)
    content = f"{message.key}.{stamp}.".encode() + body
    headers = {"webhook-id": message.key, "webhook-timestamp": stamp}
    if secrets:
        headers["webhook-signature"] = " ".join(_signature(_key(secret), content) for secret in secrets)
    return headers


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _key(secret: Secret) -> bytes:
    """`whsec_` and base64, as Standard Webhooks write it; anything else is taken by its letters."""
    text = secret.read()
    decode: Callable[[str], bytes] = base64.b64decode
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return decode(text.removeprefix(PREFIX))
    except (binascii.Error, ValueError) as error:
        raise TargetRefusedError(f"{secret} begins with {PREFIX}, and what follows is not base64") from error
