"""The engine's end of the wire: a server in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from citywatch.sources.http.wire import Answer, Meeting, Request, frame, meet, part, read_frame

BUFFER = 1 << 20
"""Bytes that are read ahead of a connection."""

PATIENCE = 1.0
"""Seconds that answers may still take when nothing more is to be taken."""


class Listening:
    """Answers requests until it is left. A context manager.

    Parameters
    ----------
    data
        The data directory, which the caller holds locked.
    answer
        Called in this thread's event loop for each request; it may take its time.
    """

    def __init__(self, data: Path, answer: Callable[[Request], Awaitable[Answer]]) -> None:
        self._data = data
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="doors", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        listener, self._meeting = meet(self._data)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(listener), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        part(self._data)
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self, listener: socket.socket) -> None:
        start = asyncio.start_server if listener.family == socket.AF_INET else asyncio.start_unix_server
        self._server = await start(self._serve, sock=listener, limit=BUFFER)

    async def _close(self) -> None:
        self._server.close()
        if self._asked:
            await asyncio.wait(self._asked, timeout=PATIENCE)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.ensure_future(self._converse(reader, writer, self._meeting))
        self._connections.add(serving)
        serving.add_done_callback(self._connections.discard)
        with suppress(asyncio.CancelledError):
            await serving

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meeting: Meeting) -> None:
        """Answer what one caller asks, several requests at a time, until it hangs up."""
        try:
            if not meeting.knows((await reader.readline()).strip()):
                return
            while message := await read_frame(reader):
                number, (door, mapping, headers), body = message
                task = asyncio.ensure_future(self._reply(number, Request(door, mapping, headers, body), writer))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)
        except ValueError:
            return  # no caller of ours
        finally:
            writer.close()

    async def _reply(self, number: int, request: Request, writer: asyncio.StreamWriter) -> None:
        answer = await self._answer(request)
        with suppress(ConnectionError):
            writer.write(frame(number, [answer.status, answer.content]))
            await writer.drain()
