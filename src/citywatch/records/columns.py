"""Arrow columns as NumPy sees them: bytes of all values one after another, and where each begins."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array: TypeAlias = "pa.Array[Any]"
Column: TypeAlias = "pa.ChunkedArray[Any]"
Bytes: TypeAlias = npt.NDArray[np.uint8]
Offsets: TypeAlias = npt.NDArray[np.int32]
Positions: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_PIECE = 256 << 10
"""Bytes that stay in the processor's cache while several questions are asked about them."""


def spans(values: Array) -> tuple[Offsets, Bytes]:
    """Bytes of all texts, and where each begins: `len(values) + 1` offsets from 0. Nothing is copied."""
    if not len(values):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    begins: Any
    content: Any
    _, begins, content = values.buffers()
    offsets = np.frombuffer(begins, np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def from_spans(offsets: Offsets, data: Any) -> Array:
    """Binary values of `data`, any object with a buffer; nothing is copied."""
    begins: Any = np.ascontiguousarray(offsets)
    buffers = [None, pa.py_buffer(begins), pa.py_buffer(data)]
    values: Array = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)
    return values


def nulls(count: int, kind: Any) -> Array:
    """As `pa.nulls`; those of plain kinds share their memory."""
    if not (pa.types.is_primitive(kind) or pa.types.is_string(kind)):
        none: Array = pa.nulls(count, kind)
        return none
    zeros: list[pa.Buffer | None] = [_zeros(1 << (8 * count + 8).bit_length())]
    return pa.Array.from_buffers(kind, count, zeros * (3 if pa.types.is_string(kind) else 2), null_count=count)


@lru_cache(maxsize=4)
def _zeros(size: int) -> pa.Buffer:
    return pa.py_buffer(bytes(size))


def one_array(column: Column) -> Array:
    """A column in one piece; nothing is copied of what is in one already, as `combine_chunks` would."""
    combined: Any = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    array: Array = combined
    return array


def listed(column: Any) -> list[Any]:
    """Values of a column or an array as Python has them."""
    values: list[Any] = column.to_pylist()
    return values


def lengths(values: Array) -> Positions:
    """Bytes of each value."""
    return np.diff(spans(values)[0]).astype(np.int64)


def places(data: Bytes, width: int, test: Callable[[Bytes], Mask]) -> Positions:
    """Where in `data` the first of `width` bytes stands about which `test` is true.

    `test` sees pieces of `data` and answers for each of their bytes but the last `width - 1`.
    """
    begins = range(0, len(data) - width + 1, _PIECE)
    found = [np.flatnonzero(test(data[begin : begin + _PIECE + width - 1])) + begin for begin in begins]
    return np.concatenate(found) if found else np.zeros(0, np.int64)
