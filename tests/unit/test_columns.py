"""Columns as NumPy sees them, and columns that hold nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from citywatch.event import batch_schema
from citywatch.records.columns import Bytes, Mask, nulls, places


@pytest.mark.parametrize("kind", sorted({field.type for field in batch_schema()}, key=str), ids=str)
@pytest.mark.parametrize("count", [0, 1, 8, 9, 70_001])
def test_a_column_without_values_is_what_arrow_makes(kind: Any, count: int) -> None:
    column = nulls(count, kind)
    column.validate(full=True)
    assert column.equals(pa.nulls(count, kind))
    assert column.null_count == count


def test_what_is_looked_for_is_found_across_the_pieces_that_are_looked_at() -> None:
    content = np.frombuffer(b"ab" * 300_000, np.uint8)

    def ab(data: Bytes) -> Mask:
        found: Mask = (data[:-1] == ord("a")) & (data[1:] == ord("b"))
        return found

    assert places(content, 2, ab).tolist() == list(range(0, len(content), 2))
    assert places(content[1:], 2, ab).tolist() == list(range(1, len(content) - 1, 2))
    assert not len(places(content[:1], 2, ab))
    assert not len(places(content[:0], 1, lambda data: data == 0))
