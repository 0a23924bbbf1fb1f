"""Pictures that are written as base64 inside of JSON records: taken out before anything else reads the record.

A CloudEvent whose whole payload is a picture (`data_base64`) becomes one whose data say which picture it is.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.records.chunk import Chunk, Format
from citywatch.records.columns import Bytes, Offsets, Positions, one_array, spans

_SHORTEST = 100
"""Bytes of a record; no picture fits into a shorter one."""

_BEGINNINGS = {b"iVBORw0KGgo": 1, b"/9j": 0, b"UklGR": 0}
"""How PNG, JPEG and WebP begin in base64, and which of these bytes is rare in messages."""

_LITERAL = re.compile(rb'"(?:data:image\\?/[\w.+-]+;base64,)?((?:iVBORw0KGgo|\\?/9j\\?/|UklGR)[A-Za-z0-9+/=\\\s]*)"')
_PAYLOAD = re.compile(rb'"data_base64"(\s*:\s*)("[0-9a-f]{64}")')
_PAYLOAD_TYPE = re.compile(rb'("datacontenttype"\s*:\s*)"[^"\\]*"')
"""Members of a CloudEvent whose payload is no JSON."""

IMAGE = "violation.image"
"""Type of the event that says that an image has come by itself."""

Keep = Callable[[bytes], str | None]
"""Takes an image and gives its id, or None when it is none that can be kept."""


def split(chunk: Chunk, keep: Keep) -> tuple[Chunk, frozenset[str]]:
    """The chunk with the id of each picture in its place, and these ids.

    What `keep` does not take stays as it came. Looking costs a search for three short texts in all records at once; no
    record is touched that holds none of them.
    """
    if chunk.format is not Format.JSON or not chunk.records.num_rows:
        return chunk, frozenset()
    raw = one_array(chunk.records["raw"])
    rows = _candidates(*spans(raw))
    kept: set[str] = set()
    changed = {row: text for row in rows if (text := _without(raw[row].as_py(), keep, kept)) is not None}
    if not changed:
        return chunk, frozenset()
    mask = np.zeros(len(raw), bool)
    mask[list(changed)] = True
    texts = pa.array(list(changed.values()), raw.type)
    records = chunk.records.set_column(
        chunk.records.schema.get_field_index("raw"), "raw", pc.replace_with_mask(raw, pa.array(mask), texts)
    )
    return replace(chunk, records=records), frozenset(kept)


def _candidates(offsets: Offsets, data: Bytes) -> list[int]:
    """Numbers of the records that may hold a picture, ascending."""
    if not len(data) or int(np.diff(offsets).max()) < _SHORTEST:
        return []
    places = np.concatenate([_places(data, text, rare) for text, rare in _BEGINNINGS.items()])
    rows: list[int] = np.unique(np.searchsorted(offsets, places, side="right") - 1).tolist()
    return rows


def _places(data: Bytes, text: bytes, rare: int) -> Positions:
    """Where `text` stands, looked for by its byte `rare`: one look at all bytes, and the rest at few."""
    places: Positions = np.flatnonzero(data[rare : len(data) - len(text) + rare + 1] == text[rare])
    for number, byte in enumerate(text):
        places = places[data[places + number] == byte]
    return places


def _without(record: bytes, keep: Keep, kept: set[str]) -> bytes | None:
    """The record with ids for pictures; None when there was nothing to take out."""

    def taken(match: re.Match[bytes]) -> bytes:
        image = decoded(match[1])
        image_id = keep(image) if image else None
        if image_id is None:
            return match[0]
        kept.add(image_id)
        return b'"%s"' % image_id.encode()

    changed = _LITERAL.sub(taken, record)
    if changed == record:
        return None
    return _told_in_data(changed, kept) if _PAYLOAD.search(changed) else changed


def _told_in_data(record: bytes, kept: set[str]) -> bytes:
    """A CloudEvent whose payload was a picture, with JSON data that name it; anything else as it is.

    Nothing but these members changes, so that what is wrong with the others is said by who reads them.
    """
    try:
        event: Any = json.loads(record)
    except ValueError:
        return record
    if not isinstance(event, dict) or "data" in event or event.get("data_base64") not in kept:
        return record
    named = event.get("type") == IMAGE and isinstance(event.get("subject"), str) and event["subject"]
    image_id = b'"image_id":%s,' % json.dumps(event["subject"]).encode() if named else b""
    told = _PAYLOAD.sub(lambda found: b'"data"%s{%s"image":%s}' % (found[1], image_id, found[2]), record, count=1)
    return _PAYLOAD_TYPE.sub(rb'\1"application/json"', told, count=1)


def decoded(literal: bytes) -> bytes | None:
    """The bytes that the inside of a JSON string holds as base64; None when it is none."""
    text = re.sub(rb"\\[nrt]|\s", b"", literal).replace(b"\\/", b"/")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
