"""The page's end of the wire: one connection to the engine, on which many requests wait for their answers."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path

from citywatch.sources.http.wire import Answer, Meeting, Request, frame, read_frame

_ABSENT = Answer(
    503,
    {
        "detail": "No engine takes events in here now.",
        "hint": "it reads its files first, or has stopped; send again: what was accepted is not doubled",
    },
)


class Engine:
    """The engine of a data directory, as the page's event loop reaches it: called when asked, and again when lost."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._calling = asyncio.Lock()

    async def ask(self, request: Request) -> Answer:
        """The engine's answer, 503 when there is no engine or it stops before it has answered."""
        writer = await self._connected()
        if writer is None:
            return _ABSENT
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(frame(number, [request.door, request.mapping, dict(request.headers)], request.body))
            await writer.drain()
        except ConnectionError:
            answer.cancel()
            return _ABSENT
        else:
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter | None:
        async with self._calling:
            if self._writer is None and (meeting := Meeting.read(self._data)):
                with suppress(OSError):
                    await self._connect(meeting)
            return self._writer

    async def _connect(self, meeting: Meeting) -> None:
        call = asyncio.open_unix_connection(meeting.path) if meeting.path else None
        reader, writer = await (call or asyncio.open_connection("127.0.0.1", meeting.port))
        writer.write(meeting.secret.encode() + b"\n")
        self._writer = writer
        self._reading = asyncio.ensure_future(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while message := await read_frame(reader):
                number, (status, content), _ = message
                if (waiting := self._waiting.get(number)) and not waiting.done():
                    waiting.set_result(Answer(status, content))
        finally:
            self._writer = None
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(_ABSENT)
