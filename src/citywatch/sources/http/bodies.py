"""From a body and its media type to records, each with its number in the request."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.message import Message
from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa

from citywatch.errors import SourceError
from citywatch.records.chunk import Chunk, Format, Origin, faults_schema, records_schema
from citywatch.records.columns import Array, Positions, listed
from citywatch.records.json_items import array_items
from citywatch.records.lines import line_table
from citywatch.sources.content import Kind, chunks_of, sniffed
from citywatch.sources.http.cloudevents import is_binary, structured
from citywatch.sources.http.wire import LARGEST
from citywatch.sources.streams import Blocks

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
FORM = "application/x-www-form-urlencoded"
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_CSV = ("text/csv", "application/csv", "text/tab-separated-values")
_UNSAID = ("", "application/octet-stream", "text/plain")
_PAIR = re.compile("([0-9]{1,18}):([0-9]{1,18})")
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")


MOST = 200_000
"""Records of the largest request: the answer can name each of them, and nobody else waits long meanwhile."""


_MOST_LINES = 1_000_000
"""Lines of the largest CSV, blank ones and those inside of a value among them."""


class BodyError(Exception):
    """A body that cannot be read as a whole; `status` is that of the answer."""

    def __init__(self, status: int, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.hint = hint


def events(headers: Mapping[str, str], body: bytes, origin: Origin) -> Chunk:
    """CloudEvents in any mode, or one a line. Raises BodyError."""
    media, body = _opened(headers, body)
    if media == BATCH:
        return _array(body, origin)
    if media in _LINES:
        return _cut(body, Kind.NDJSON, origin)
    if is_binary(headers) and media != STRUCTURED:
        return _one(_structured(headers, media, body), origin)
    if media == STRUCTURED:
        return _one(body, origin)
    if media == "application/json":
        return _array(body, origin) if body.lstrip().startswith(b"[") else _cut(body, sniffed(body), origin)
    hint = f"Content-Type: {STRUCTURED}, {BATCH} or {_LINES[0]}; or CloudEvents in binary mode"
    raise BodyError(415, f"events do not come as {media or 'a body without Content-Type'}", hint)


def foreign(headers: Mapping[str, str], body: bytes, origin: Origin) -> Chunk:
    """Messages of any shape: JSON objects, an array of them, one a line, or CSV with a header. Raises BodyError."""
    media, body = _opened(headers, body)
    if media in _LINES:
        return _cut(body, Kind.NDJSON, origin)
    if media in _CSV:
        return _cut(body, Kind.CSV, origin)
    if media in _UNSAID:
        return _cut(body, sniffed(body), origin)
    if media == "application/json" or media.endswith("+json"):
        return _json(body, origin)
    hint = f"Content-Type: application/json, {_LINES[0]} or {_CSV[0]}"
    raise BodyError(415, f"messages do not come as {media}", hint)


def posted(headers: Mapping[str, str], body: bytes, origin: Origin) -> Chunk:
    """Messages from programs that say little of what they send: JSON, or the fields of a form. Raises BodyError."""
    media, body = _opened(headers, body)
    if media == FORM and not body.lstrip().startswith((b"{", b"[")):
        return _one(json.dumps(dict(parse_qsl(body.decode("utf-8", "replace")))).encode(), origin)
    return _json(body, origin)


def ordinals(headers: Mapping[str, str]) -> dict[int, int] | None:
    """Which records are not the first of their content in their file: index -> ordinal, as `Citywatch-Ordinals` says.

    None where it says nothing. Raises BodyError.
    """
    if (said := headers.get("citywatch-ordinals")) is None:
        return None
    pairs = [_PAIR.fullmatch(pair) for pair in said.split()]
    if None in pairs:
        raise BodyError(400, "Citywatch-Ordinals is no list of index:ordinal", "as in 0:1 7:2")
    return {int(pair[1]): int(pair[2]) for pair in pairs if pair}


def bounded(chunk: Chunk) -> Chunk:
    """The chunk. Raises BodyError when it has more than `MOST` records."""
    if (count := len(chunk.records) + (len(chunk.faults) if chunk.faults else 0)) > MOST:
        raise BodyError(413, f"{count:,} records are more than {MOST:,}", "send smaller batches")
    return chunk


def counted(chunk: Chunk, known: Mapping[int, int] | None) -> Chunk:
    """The chunk with the ordinals of its records: as the sender has said, else counted in it."""
    if known is None:
        return replace(chunk, ordinals=_ordinals(chunk))
    given = [known.get(line - 1, 0) for line in listed(chunk.records["line"])]
    return replace(chunk, ordinals=np.array(given, np.int64))


def _ordinals(chunk: Chunk) -> Positions:
    """How often each record stands in the request before."""
    times: dict[bytes, int] = {}
    found = []
    for raw in listed(chunk.records["raw"]):
        content = raw.strip()
        found.append(times.get(content, 0))
        times[content] = found[-1] + 1
    return np.array(found, np.int64)


def _opened(headers: Mapping[str, str], body: bytes) -> tuple[str, bytes]:
    """Media type, and the body unpacked."""
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    charset = message.get_content_charset()
    if charset and charset not in _UTF8:
        raise BodyError(415, f"the body is in {charset}, wanted is UTF-8")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise BodyError(415, f"the body is packed with {encoding}", "gzip is read")
    media = message.get_content_type() if headers.get("content-type") else ""
    plain = _unpacked(body) if "gzip" in encoding else body
    return media, plain.removeprefix(BOM_UTF8)


def _unpacked(body: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            plain = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BodyError(400, f"the body is no gzip: {error}") from error
    if len(plain) > LARGEST:
        raise BodyError(413, f"the body is larger than {LARGEST >> 20} MiB when unpacked", "send smaller batches")
    return plain


def _structured(headers: Mapping[str, str], media: str, body: bytes) -> bytes:
    try:
        return structured(headers, media, body)
    except (ValueError, RecursionError) as error:
        raise BodyError(400, f"the data is not {media or 'JSON'}: {error}") from error


def _one(body: bytes, origin: Origin) -> Chunk:
    """The whole body as one record."""
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BodyError(400, f"the body is not JSON: {error}") from error
    if not isinstance(whole, dict):
        raise BodyError(400, "the body is no JSON object")
    return Chunk(origin, Format.JSON, pa.table([[1], [body]], schema=records_schema()))


def _array(body: bytes, origin: Origin) -> Chunk:
    if not body.lstrip().startswith(b"["):
        raise BodyError(400, "the body is no JSON array")
    return _cut(body, Kind.JSON, origin)


def _json(body: bytes, origin: Origin) -> Chunk:
    if not body.lstrip().startswith((b"[", b"{")):
        raise BodyError(400, "the body is no JSON object, and no array of them")
    return _cut(body, sniffed(body), origin)


def _cut(body: bytes, kind: Kind, origin: Origin) -> Chunk:
    """Records of a body; `line` is the number of each in the request, from 1."""
    if not body.strip():
        raise BodyError(400, "the body is empty")
    if kind is Kind.NDJSON:
        lines = line_table(body if body.endswith(b"\n") else body + b"\n", 1)[0]
        return Chunk(origin, Format.JSON, lines.set_column(0, "line", _numbers(len(lines))))
    if kind is Kind.JSON and (items := array_items(body)) is not None:
        table = pa.table([_numbers(len(items)), pa.array(items, pa.binary())], schema=records_schema())
        return Chunk(origin, Format.JSON, table)
    return _cut_exactly(body, kind, origin)


def _cut_exactly(body: bytes, kind: Kind, origin: Origin) -> Chunk:
    """As files are cut: what is no record is a fault among them."""
    if kind is Kind.CSV and (lines := body.count(b"\n")) > _MOST_LINES:
        raise BodyError(413, f"{lines:,} lines are more than {_MOST_LINES:,}", "send smaller batches")
    try:
        chunks = list(chunks_of(Blocks(iter([body]), "the body", unpack=False), kind, origin))
    except SourceError as error:
        raise BodyError(400, error.what, error.hint or "") from error
    if not chunks:
        fmt = Format.CSV if kind is Kind.CSV else Format.JSON
        return Chunk(origin, fmt, records_schema().empty_table())
    records = pa.concat_tables([chunk.records for chunk in chunks]).combine_chunks()
    faults = pa.concat_tables([chunk.faults or faults_schema().empty_table() for chunk in chunks])
    records, faults = _numbered(records, faults)
    return replace(chunks[0], records=records, faults=faults if len(faults) else None)


def _numbered(records: pa.Table, faults: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Records and faults with their numbers in the request instead of their lines."""
    lines: Sequence[int] = [*listed(records["line"]), *listed(faults["line"])]
    numbers = np.empty(len(lines), np.int64)
    numbers[np.argsort(lines, kind="stable")] = np.arange(1, len(lines) + 1)
    first, second = pa.array(numbers[: len(records)]), pa.array(numbers[len(records) :])
    return records.set_column(0, "line", first), faults.set_column(0, "line", second)


def _numbers(count: int) -> Array:
    return pa.array(np.arange(1, count + 1))
