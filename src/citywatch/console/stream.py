"""Alerts as they come, to every open page: server-sent events, from one look at the desk for all of them.

What a page gets is idempotent (a line replaces the one with its id), so a page that comes back with the last id it
saw is told everything since, and hearing something twice does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string

from citywatch.console import presentation
from citywatch.console.site import current
from citywatch.console.views import NOTIFYING, choice_of
from citywatch.errors import StoreError
from citywatch.triage import Choice, Listed

POLL = 0.1
"""Seconds between two looks at the desk."""

HEARTBEAT = 15
"""Seconds after which a silent stream says that it lives; and each asks whether its reader is still let in."""

LONGEST_QUEUE = 1000
"""A page that has not read so many pieces of news is let go; it comes back and says what it saw last."""

BURST = 100
"""More changes than that at once are not shown one by one: the newest are, and a line says so."""


Counts = dict[tuple[str, ...], dict[str, int]]


@dataclass(frozen=True, slots=True)
class News:
    """Changes after `start` up to `end`. `skipped`: there were more than are listed here.

    `counts` are those by state, for every choice of statuses that a page may show.
    """

    start: int
    end: int
    changed: list[Listed]
    counts: Counts
    skipped: bool = False


@dataclass(eq=False)
class Tailer:
    """Looks at the desk for all streams of this process; runs while there are any."""

    readers: set[asyncio.Queue[News | None]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    async def join(self) -> asyncio.Queue[News | None]:
        """A queue that gets all news of what happens after this call; None is the end."""
        queue: asyncio.Queue[News | None] = asyncio.Queue()
        cursor = (await asyncio.to_thread(look, None)).end
        self.readers.add(queue)
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._run(cursor))
        return queue

    def close(self) -> None:
        """End all streams: the server is about to stop. For the thread of the event loop."""
        for queue in self.readers:
            queue.put_nowait(None)

    def leave(self, queue: asyncio.Queue[News | None]) -> None:
        """No more news for that queue; the last one out stops the looking."""
        self.readers.discard(queue)
        if not self.readers and self.task is not None:
            self.task.cancel()
            self.task = None

    async def _run(self, cursor: int) -> None:
        while True:
            try:
                news = await asyncio.to_thread(look, cursor)
            except StoreError:  # pages come back, say what they saw last, and are answered when the desk is there again
                self.close()
                self.readers.clear()
                return
            if news.changed:
                for queue in list(self.readers):
                    self._give(queue, news)
            cursor = news.end
            await asyncio.sleep(POLL)

    def _give(self, queue: asyncio.Queue[News | None], news: News) -> None:
        if queue.qsize() >= LONGEST_QUEUE:
            self.readers.discard(queue)
            queue.put_nowait(None)
            return
        queue.put_nowait(news)


tailer = Tailer()


@dataclass
class Admission:
    """Asks now and then whether a reader is still let in, also where a stream always has something to say."""

    ask: Callable[[], Awaitable[bool]]
    asked: float = field(default_factory=time.monotonic)

    async def holds(self) -> bool:
        """False when the reader was asked about and is let in no more."""
        if time.monotonic() - self.asked < HEARTBEAT:
            return True
        self.asked = time.monotonic()
        return await self.ask()


def look(cursor: int | None) -> News:
    """What changed on the desk after `cursor`; None: only where it stands."""
    with current().desk() as desk:
        desk.wake()
        end = desk.last_change()
        if cursor is None or end == cursor:
            return News(end, end, [], {})
        changed = desk.changes_since(cursor, limit=BURST + 1)
        counts: Counts = {statuses: desk.state_counts(statuses) for statuses in ((), NOTIFYING)}
        if len(changed) <= BURST:
            return News(cursor, changed[-1].change if changed else end, changed, counts)
        newest = sorted(desk.newest(limit=BURST // 2), key=lambda listed: listed.raised)
        return News(cursor, end, newest, counts, skipped=True)


async def alerts(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The stream behind the list (`state`, `level`, `rule` as there) or behind one alert (`alert`)."""
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    cursor = int(given) if given.isascii() and given.isdigit() else None
    only = request.GET.get("alert")
    body = _stream(request, cursor, choice_of(request.GET), only)
    response = StreamingHttpResponse(body, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _stream(request: HttpRequest, cursor: int | None, choice: Choice, only: str | None) -> AsyncIterator[str]:
    await give_back()
    admission = Admission(lambda: still_in(request))
    queue = await tailer.join()
    try:
        yield "retry: 1000\n\n"
        first = await asyncio.to_thread(look, cursor)
        if first.changed:
            yield await asyncio.to_thread(_message, first, choice, only)
        done = first.end
        while await admission.holds():
            try:
                news = await asyncio.wait_for(queue.get(), HEARTBEAT)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if news is None:
                return
            if news.end > done:
                done = news.end
                yield await asyncio.to_thread(_message, news, choice, only)
    finally:
        tailer.leave(queue)


async def still_in(request: HttpRequest) -> bool:
    """Whether the session has not ended, and its person may still come in."""
    try:
        return await sync_to_async(_is_in)(request)
    finally:
        await give_back()


def _is_in(request: HttpRequest) -> bool:
    key = request.session.session_key
    return key is not None and request.session.exists(key) and get_user(request).is_active


async def give_back() -> None:
    """Let others have the connection by which it was asked who reads: else each stream would hold one until it ends."""
    await sync_to_async(close_old_connections)()


def _message(news: News, choice: Choice, only: str | None) -> str:
    """One server-sent event; its id is the place in the stream after it."""
    if only is not None:
        touched = any(listed.alert["id"] == only for listed in news.changed) or news.skipped
        return _event(news.end, "alert", "changed") if touched else f"id: {news.end}\n\n"
    lines = [(presentation.row(listed), _place(listed, news, choice)) for listed in news.changed]
    context = {"lines": lines, "counts": news.counts[tuple(choice.statuses)], "skipped": news.skipped}
    return _event(news.end, "alerts", render_to_string("console/stream.html", context))


def _place(listed: Listed, news: News, choice: Choice) -> str:
    """Where the line goes: to the top, in place of the one before, or away (`app.js` does it)."""
    if not _fits(listed, choice):
        return "gone"
    # Where only some states are listed, a line may come that was not there.
    return "top" if listed.raised > news.start or choice.states else "in place"


def _fits(listed: Listed, choice: Choice) -> bool:
    alert = listed.alert
    parts = ((choice.states, "state"), (choice.levels, "level"), (choice.rules, "rule"), (choice.statuses, "status"))
    return all(not wanted or alert[name] in wanted for wanted, name in parts)


def _event(place: int, name: str, text: str) -> str:
    data = "\n".join(f"data: {line}" for line in text.splitlines() if line.strip())
    return f"id: {place}\nevent: {name}\n{data}\n\n"
