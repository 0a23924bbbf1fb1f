"""Pictures that are written as base64 inside of JSON records: taken out before anything else reads the record."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.records.chunk import Chunk, Format
from citywatch.records.columns import Bytes, Offsets, one_array, spans

_SHORTEST = 100
"""Bytes of a record; no picture fits into a shorter one."""

_BEGINNINGS = (b"iVBORw0KGgo", b"/9j", b"UklGR")
"""How PNG, JPEG and WebP begin in base64; a slash may be escaped, so that only what surely follows it is looked for."""

_LITERAL = re.compile(rb'"(?:data:image\\?/[\w.+-]+;base64,)?((?:iVBORw0KGgo|\\?/9j\\?/|UklGR)[A-Za-z0-9+/=\\\s]*)"')
_ENVELOPE = re.compile(rb'"data_base64"\s*:\s*$')
"""A CloudEvent's whole payload is for the reader of CloudEvents."""

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
    content = data.tobytes()
    rows = (row for beginning in _BEGINNINGS for row in _rows_with(content, beginning, offsets))
    return sorted(set(rows))


def _rows_with(content: bytes, text: bytes, offsets: Offsets) -> Iterator[int]:
    place = content.find(text)
    while place >= 0:
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        yield row
        place = content.find(text, int(offsets[row + 1]))


def _without(record: bytes, keep: Keep, kept: set[str]) -> bytes | None:
    """The record with ids for pictures; None when there was nothing to take out."""

    def taken(match: re.Match[bytes]) -> bytes:
        envelope = _ENVELOPE.search(record, max(match.start() - 40, 0), match.start())
        image = None if envelope else decoded(match[1])
        image_id = keep(image) if image else None
        if image_id is None:
            return match[0]
        kept.add(image_id)
        return b'"%s"' % image_id.encode()

    changed = _LITERAL.sub(taken, record)
    return changed if changed != record else None


def decoded(literal: bytes) -> bytes | None:
    """The bytes that the inside of a JSON string holds as base64; None when it is none."""
    text = re.sub(rb"\\[nrt]|\s", b"", literal).replace(b"\\/", b"/")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
