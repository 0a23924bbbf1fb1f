"""From bytes to texts that can be records: UTF-8, and for JSON nothing that only DuckDB would read."""

from __future__ import annotations

from codecs import BOM_UTF8

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.mappings.refusals import Refusals
from citywatch.records.chunk import Chunk, Format
from citywatch.records.columns import Array, Column, Mask, listed, one_array, spans
from citywatch.records.json_values import complaint, doubtful

_ESCAPED = np.zeros(256, bool)
_ESCAPED[[*range(32), ord('"'), ord("\\"), 127]] = True


def texts(chunk: Chunk, refusals: Refusals) -> pa.Table:
    """Columns row (its number in the chunk) and raw (text) of the records that can be read."""
    raw = one_array(chunk.records["raw"])
    if chunk.format is Format.JSON:
        raw = _without_marks(raw)
    text, good = utf8(raw)
    for row in np.flatnonzero(~good).tolist():
        refusals.add([row], [_not_utf8(raw[row].as_py())], None)
    if chunk.format is Format.JSON:
        for row in np.flatnonzero(doubtful(raw) & good).tolist():
            if reason := complaint(raw[row].as_py()):
                refusals.add([row], [reason], None)
                good[row] = False
    else:
        for row in np.flatnonzero(_with_nul(raw) & good).tolist():
            refusals.add([row], ["holds a NUL byte"], None)
            good[row] = False
    table = pa.table({"row": np.arange(len(raw)), "raw": text})
    return table if good.all() else table.filter(pa.array(good))


def _without_marks(raw: Array) -> Array:
    """Records without the byte order mark that some programs write before each message."""
    offsets, data = spans(raw)
    if not len(data):
        return raw
    marked = data[np.minimum(offsets[:-1], len(data) - 1)] == BOM_UTF8[0]
    if not marked.any():
        return raw
    mask = pa.array(marked)
    plain = [value.removeprefix(BOM_UTF8) for value in listed(raw.filter(mask))]
    without: Array = pc.replace_with_mask(raw, mask, pa.array(plain, raw.type))
    return without


def no_text(column: Column) -> Mask:
    """Which texts may be an object, an array or a boolean of JSON: shape (len(column),). False means no doubt."""
    texts = one_array(column)
    offsets, data = spans(texts)
    if not len(data):
        return np.zeros(len(texts), bool)
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    last = data[np.maximum(offsets[1:] - 1, 0)]
    length = np.diff(offsets)
    truth = (last == ord("e")) & (((first == ord("t")) & (length == 4)) | ((first == ord("f")) & (length == 5)))
    doubts: Mask = (((first | 32) == ord("{")) | truth) & (length > 0)
    return doubts


def plain(table: pa.Table) -> bool:
    """Whether the texts of a table hold nothing that JSON has to escape."""
    texts = (column for column in table.columns if pa.types.is_string(column.type))
    return not any(_ESCAPED[spans(one_array(text))[1]].any() for text in texts)


def utf8(raw: Array) -> tuple[Array, Mask]:
    """Texts of `raw` and which of them are valid UTF-8; the others are empty."""
    try:
        return raw.cast(pa.string()), np.ones(len(raw), dtype=bool)
    except pa.ArrowInvalid:
        decoded = [_decoded(value) for value in listed(raw)]
        good = np.array([text is not None for text in decoded])
        return pa.array([text or "" for text in decoded], pa.string()), good


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _not_utf8(value: bytes) -> str:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{value[error.start]:02X} at {error.start + 1}"
    return "not UTF-8"


def _with_nul(raw: Array) -> Mask:
    offsets, data = spans(raw)
    mask = np.zeros(len(raw), dtype=bool)
    mask[np.searchsorted(offsets, np.flatnonzero(data == 0), side="right") - 1] = True
    return mask
