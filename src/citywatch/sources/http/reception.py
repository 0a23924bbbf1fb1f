"""What is done with a request: its body becomes a chunk, what became of that an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import repeat
from typing import Any

import pyarrow as pa

from citywatch.errors import CapacityError, CitywatchError, DiskFullError, MappingError, TooLargeError
from citywatch.records.chunk import Chunk, Format, Origin, Outcome
from citywatch.records.columns import listed
from citywatch.sources.http.bodies import BodyError, bounded, counted, events, foreign, ordinals, posted
from citywatch.sources.http.wire import Answer, Request

NAME = "http"
"""What the engine's clock knows all doors by, and how the names of their origins begin."""

CLOUDEVENTS = "cloudevents"
RECEIVE_MSG = "prestacop"
"""The mapping of the older site's door."""

LARGE = 1 << 20
"""Bytes of a body that is cut beside the event loop, as packed ones are: it would hold up every other request."""

_STATUS: dict[type[CitywatchError], int] = {
    CapacityError: 429,
    DiskFullError: 507,
    MappingError: 422,
    TooLargeError: 413,
}
"""What an error is over HTTP; any other error of the tree is 503: the engine cannot take anything in now."""

_LOG = logging.getLogger(__name__)


class Reception:
    """Answers requests.

    Parameters
    ----------
    mappings
        Name of each known mapping, and whether ids of its events are made of the records' content.
    enter
        Hands a chunk to the engine. Raises CapacityError.
    """

    def __init__(self, mappings: Mapping[str, bool], enter: Callable[[Chunk], Future[Outcome]]) -> None:
        self._counts = {CLOUDEVENTS: False, **mappings}
        self._enter = enter

    async def answer(self, request: Request) -> Answer:
        """202 when what it acknowledges would survive a power cut; every error is an answer, too."""
        try:
            if request.mapping and request.mapping not in self._counts:
                return _problem(404, f"there is no mapping {request.mapping!r}", "see `citywatch mappings list`")
            if request.door == "describe":
                ids = "content" if self._counts[request.mapping] else "natural"
                return Answer(200, {"mapping": request.mapping, "ids": ids})
            large = len(request.body) > LARGE or "content-encoding" in request.headers
            return await self._take(await asyncio.to_thread(self._chunk, request) if large else self._chunk(request))
        except BodyError as error:
            return _problem(error.status, str(error), error.hint)
        except CitywatchError as error:
            return _problem(_STATUS.get(type(error), 503), error.what, error.hint)
        except Exception:
            _LOG.exception("a request to the door %s failed", request.door)
            return _problem(500, "this went wrong here; the engine's log says why")

    def _chunk(self, request: Request) -> Chunk:
        if request.door == "events":
            origin = Origin(f"{NAME}/events", replay=False)
            return _of(CLOUDEVENTS, bounded(events(request.headers, request.body, origin)))
        name, read = (RECEIVE_MSG, posted) if request.door == "receive_msg" else (request.mapping, foreign)
        origin = Origin(f"{NAME}/{name}", replay=False)
        chunk = _of(name, bounded(read(request.headers, request.body, origin)))
        known = ordinals(request.headers)
        return counted(chunk, known) if self._counts[name] else chunk

    async def _take(self, chunk: Chunk) -> Answer:
        outcome = await asyncio.wrap_future(self._enter(chunk))
        rejected = _rejected(chunk, outcome.refused)
        return Answer(202, {"accepted": outcome.accepted, "duplicates": outcome.duplicates, "rejected": rejected})


def _of(mapping: str, chunk: Chunk) -> Chunk:
    return replace(chunk, mapping=mapping)


def _rejected(chunk: Chunk, refused: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """The refused records in the answer: number in the request from 0, and the id that each has, if it has one."""
    rows = sorted({row for row, _ in refused})
    ids = map(_id, _of_rows(chunk, "raw", rows)) if chunk.format is Format.JSON else repeat(None)
    said = dict(zip(rows, zip(_of_rows(chunk, "line", rows), ids, strict=False), strict=True))
    rejected = [{"index": said[row][0] - 1, "id": said[row][1], "reason": reason} for row, reason in refused]
    return sorted(rejected, key=lambda refusal: refusal["index"])


def _of_rows(chunk: Chunk, column: str, rows: Sequence[int]) -> list[Any]:
    """Values of some records, and of some faults, which are counted behind them."""
    tables = [chunk.records] if chunk.faults is None else [chunk.records, chunk.faults]
    parts = [part for table in tables for part in table[column].chunks]
    return listed(pa.chunked_array(parts, tables[0][column].type).take(pa.array(rows, pa.int64())))


def _id(raw: bytes) -> str | None:
    try:
        message = json.loads(raw)
        found = message.get("id") if isinstance(message, dict) else None
        found.encode() if isinstance(found, str) else None  # half of a character cannot be said in the answer
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def _problem(status: int, detail: str, hint: str | None = None) -> Answer:
    return Answer(status, {"detail": detail, **({"hint": hint} if hint else {})})
