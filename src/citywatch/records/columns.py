"""Arrow columns as NumPy sees them: bytes of all values one after another, and where each begins."""

from __future__ import annotations

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


def one_array(column: Column) -> Array:
    """A column in one piece."""
    combined: Any = column.combine_chunks()
    array: Array = pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
    return array


def listed(column: Any) -> list[Any]:
    """Values of a column or an array as Python has them."""
    values: list[Any] = column.to_pylist()
    return values


def lengths(values: Array) -> Positions:
    """Bytes of each value."""
    return np.diff(spans(values)[0]).astype(np.int64)
