"""What waits is put together: a parser's cost is that of its statements as long as there are few records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np

from citywatch.engine.embedded.gathering import together
from citywatch.engine.embedded.parts import placed_together

if TYPE_CHECKING:
    from citywatch.records.chunk import Chunk

_WORTH_ROWS = 10_000
"""Fewer records are sooner parsed by one parser than by two."""


def shares(chunks: Sequence[Chunk], parsers: int) -> Iterator[Sequence[Chunk]]:
    """The chunks in their order, in as many parts as can be parsed at a time and are worth it."""
    rows = np.cumsum([len(chunk.records) for chunk in chunks])
    count = min(parsers, max(int(rows[-1]) // _WORTH_ROWS, 1))
    ends = np.searchsorted(rows, rows[-1] * np.arange(1, count) / count) + 1
    for begin, end in pairwise([0, *ends.tolist(), len(chunks)]):
        if begin < end:
            yield chunks[begin:end]


def joined(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    """The chunks with neighbours of one origin and form put together."""
    for _, group in groupby(chunks, key=_form):
        run = list(group)
        placings = [chunk.placing for chunk in run if chunk.placing is not None]
        yield replace(together(run), placing=placed_together(placings) if placings else None)


def _form(chunk: Chunk) -> tuple[object, ...]:
    """What chunks have in common that can be put together."""
    names = chunk.placing.names if chunk.placing is not None else None
    form = (chunk.origin, chunk.format, chunk.header, chunk.delimiter, chunk.mapping, names)
    alone = chunk.reading is None and chunk.ordinals is None
    return (*form, chunk.faults is None, chunk.ordinals is None, chunk.reading, id(chunk) if alone else 0)
