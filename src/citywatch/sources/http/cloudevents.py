"""CloudEvents in binary mode: the attributes stand in headers, the body is the data."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from urllib.parse import unquote

PREFIX = "ce-"


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that the body is the data of an event."""
    return PREFIX + "specversion" in headers


def structured(headers: Mapping[str, str], media: str, body: bytes) -> bytes:
    """The event as JSON. Raises ValueError when the body is not the JSON that it says to be."""
    event = {name.removeprefix(PREFIX): _value(text) for name, text in headers.items() if name.startswith(PREFIX)}
    event.pop("data", None)
    if media:
        event["datacontenttype"] = headers["content-type"]
    if not body:
        return json.dumps(event).encode()
    name, data = _data(media, body)
    return b'%s,"%s":%s}' % (json.dumps(event).encode()[:-1], name, data)


def _value(text: str) -> str:
    with contextlib.suppress(UnicodeError):  # who does not percent-encode, as curl, sends UTF-8
        text = text.encode("latin-1").decode("utf-8")
    quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
    return unquote(text[1:-1].replace('\\"', '"').replace("\\\\", "\\") if quoted else text)


def _data(media: str, body: bytes) -> tuple[bytes, bytes]:
    """Name and value of the member that carries the data."""
    if media in ("", "application/json", "text/json") or media.endswith("+json"):
        json.loads(body)
        return b"data", body.strip()
    if media.startswith("text/"):
        return b"data", json.dumps(body.decode("utf-8")).encode()
    return b"data_base64", json.dumps(base64.b64encode(body).decode()).encode()
