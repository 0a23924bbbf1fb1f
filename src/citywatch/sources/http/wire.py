"""Requests and answers between the page's process and the engine's, and the place where the two meet.

The engine writes down where it listens in a file of the data directory that only its owner can read, with a secret that
a caller has to say first. It is a Unix domain socket beside that file, or a port of this machine alone where such
sockets do not exist or the path is too long for one.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

LARGEST = 16 << 20
"""Bytes of the largest body."""

_SIZES = struct.Struct("!II")
_LONGEST_HEAD = 256 << 20
"""More than an answer can have: as many refused records as a request may hold, with their ids and reasons."""
_LONGEST_PATH = 100
"""Bytes of a path that fits into the address of a Unix socket everywhere."""


class Request(NamedTuple):
    """What came to a door.

    Attributes
    ----------
    door
        `events`, `ingest`, `receive_msg`, or `describe`, which asks about a mapping.
    mapping
        Its name, for `ingest` and `describe`.
    headers
        Those that say what the body is, names in lower case.
    """

    door: str
    mapping: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """Status as HTTP has it, and the answer as JSON: for an error `detail` and perhaps `hint`."""

    status: int
    content: Mapping[str, Any]


class Meeting(NamedTuple):
    """Where the engine listens: the path of a socket or a port, and what a caller has to say."""

    path: str
    port: int
    secret: str

    @classmethod
    def read(cls, data: Path) -> Meeting | None:
        """What is written in the data directory; None where no engine listens."""
        try:
            return cls(**json.loads(_file(data).read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def knows(self, said: bytes) -> bool:
        """Whether a caller has said the secret."""
        return hmac.compare_digest(said, self.secret.encode())


def meet(data: Path) -> tuple[socket.socket, Meeting]:
    """Listen for callers, and write down where. For the one engine that holds the data directory."""
    path = data / "door.sock"
    if hasattr(socket, "AF_UNIX") and len(os.fsencode(path)) <= _LONGEST_PATH:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        meeting = Meeting(str(path.absolute()), 0, secrets.token_hex(16))
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        meeting = Meeting("", listener.getsockname()[1], secrets.token_hex(16))
    listener.listen(16)
    _write(_file(data), json.dumps(meeting._asdict()))
    return listener, meeting


def part(data: Path) -> None:
    """Nobody listens any more."""
    _file(data).unlink(missing_ok=True)
    (data / "door.sock").unlink(missing_ok=True)


def _file(data: Path) -> Path:
    return data / "door.json"


def _write(file: Path, text: str) -> None:
    aside = file.with_suffix(".part")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    aside.replace(file)


def frame(number: int, head: Any, body: bytes = b"") -> bytes:
    """A message: what it answers or asks, a head as JSON, a body."""
    text = json.dumps([number, head]).encode()
    return b"".join((_SIZES.pack(len(text), len(body)), text, body))


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, Any, bytes] | None:
    """The next message; None at the end, ValueError for what is none."""
    try:
        head_size, body_size = _SIZES.unpack(await reader.readexactly(_SIZES.size))
        if head_size > _LONGEST_HEAD or body_size > LARGEST:
            raise ValueError("no message of ours")
        number, head = json.loads(await reader.readexactly(head_size))
        return number, head, await reader.readexactly(body_size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
