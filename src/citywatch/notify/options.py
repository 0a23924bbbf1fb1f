"""What a notifier may be told in the file of routes: how it is written, checked, and described to editors."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from citywatch.errors import RouteError
from citywatch.notify.pace import PATTERN as RATE_PATTERN
from citywatch.notify.pace import Rate
from citywatch.notify.secret import Given, Plain, Secret
from citywatch.rules.document import Mapping, Node, Scalar, Sequence
from citywatch.settings import duration

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Schema = dict[str, Any]

REQUIRED = object()
"""Default of an option that has to be given."""

DURATION_PATTERN = r"^[0-9]+(ms|s|m|h|d|w)$"


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written: `read` takes its node and the data directory, and raises RouteError."""

    read: Callable[[Node, Path], Any]
    schema: Schema
    words: str


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a notifier; `argument` is what it is called in Python, where that differs."""

    name: str
    form: Form
    meaning: str
    default: Any = REQUIRED
    argument: str = ""


def text(node: Node) -> str:
    """The text of a single value."""
    if not isinstance(node, Scalar) or node.value is None:
        raise RouteError("a text is wanted here", where=node.place)
    return node.text


def listed(node: Node) -> list[Node]:
    """The items of a list; one value alone is a list of one."""
    return node.items if isinstance(node, Sequence) else [node]


def parsed(node: Node, read: Callable[[str], Any]) -> Any:
    """What `read` makes of the text; its ValueError becomes an error with the place."""
    try:
        return read(text(node))
    except ValueError as error:
        raise RouteError(str(error), where=node.place) from error


def secret(node: Node, data: Path) -> Secret:
    """`{env: NAME}` or `{file: PATH}`; a secret in clear is an error that does not repeat it."""
    where = "write {env: NAME}, or {file: PATH} with a path below the data directory"
    if not isinstance(node, Mapping):
        raise RouteError("a secret does not stand in this file", where=node.place, hint=where)
    if len(node.items) != 1 or not node.items.keys() <= {"env", "file"}:
        raise RouteError("a secret is in the environment or in a file", where=node.place, hint=where)
    ((kind, value),) = node.items.items()
    return Secret(env=text(value)) if kind == "env" else Secret(file=data / text(value))


def check_url(url: str) -> str:
    """The address itself; raises ValueError when it is none that messages can be sent to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(letter.isspace() for letter in url):
        raise ValueError("not an address: write https://host/path")
    if parts.username or parts.password:
        raise ValueError("a password stands in the address: put the address into {env: NAME} or {file: PATH}")
    _ = parts.port  # raises ValueError for one that is no number
    return url


def _url(node: Node, data: Path) -> Given:
    return secret(node, data) if isinstance(node, Mapping) else Plain(parsed(node, check_url))


def _networks(node: Node, _: Path) -> tuple[Network, ...]:
    return tuple(parsed(item, ipaddress.ip_network) for item in listed(node))


def _whole(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"{word!r} is no whole number")
    return int(word)


_SECRET_SCHEMA: Schema = {
    "type": "object",
    "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def _one_or_more(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


TEXT = Form(lambda node, _: text(node), {"type": ["string", "number"]}, "text")
TEXTS = Form(
    lambda node, _: tuple(text(item) for item in listed(node)), _one_or_more({"type": "string"}), "text, or a list"
)
WHOLE = Form(lambda node, _: parsed(node, _whole), {"type": "integer", "minimum": 0}, "whole number")
DURATION = Form(lambda node, _: parsed(node, duration), {"type": "string", "pattern": DURATION_PATTERN}, "`30s`, `5m`")
RATE = Form(lambda node, _: parsed(node, Rate.read), {"type": "string", "pattern": RATE_PATTERN}, "`60/1m`")
SECRET = Form(secret, _SECRET_SCHEMA, "`{env: NAME}` or `{file: PATH}`")
SECRETS = Form(
    lambda node, data: tuple(secret(item, data) for item in listed(node)), _one_or_more(_SECRET_SCHEMA), "as secret"
)
URL = Form(_url, {"anyOf": [{"type": "string", "pattern": "^https?://"}, _SECRET_SCHEMA]}, "address, or as a secret")
PATH = Form(lambda node, data: data / text(node), {"type": "string"}, "path below the data directory")
NETWORKS = Form(_networks, _one_or_more({"type": "string"}), "`10.1.0.0/16`, or a list")


def choice(*words: str) -> Form:
    """One of some words."""

    def read(word: str) -> str:
        if word not in words:
            raise ValueError(f"{word!r} is not possible here: {', '.join(words)}")
        return word

    return Form(lambda node, _: parsed(node, read), {"enum": list(words)}, ", ".join(f"`{word}`" for word in words))
