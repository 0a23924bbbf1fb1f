"""Chunks that become too much at once: read half by half, so that what each becomes can go before the next is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from citywatch.errors import TooLargeError
from citywatch.records.chunk import Chunk, Parsed, Placing
from citywatch.records.ordinals import Ordinals


def piecewise(parse: Callable[[Chunk], Parsed], chunk: Chunk) -> Iterator[tuple[Chunk, Parsed]]:
    """What `chunk` becomes, as a rule in one part, with the chunk that each part was.

    Where `parse` raises TooLargeError, which it does not for a single record, the halves are tried; each when it is
    asked for.
    """
    try:
        parsed = parse(chunk)
    except TooLargeError:
        if len(chunk.records) < 2:
            raise
        for half in _halves(chunk):
            yield from piecewise(parse, half)
    else:
        yield chunk, parsed


def _halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """Faults, and how far a log is read, go with the second: only with it is all of the chunk safe."""
    half = len(chunk.records) // 2
    reading = chunk.reading or Ordinals()
    ordinals, placing = chunk.ordinals, chunk.placing
    first = replace(
        chunk,
        records=chunk.records.slice(0, half),
        faults=None,
        reading=reading,
        ordinals=None if ordinals is None else ordinals[:half],
        placing=placing and _placed(placing, slice(half), last=False),
    )
    second = replace(
        chunk,
        records=chunk.records.slice(half),
        reading=reading,
        ordinals=None if ordinals is None else ordinals[half:],
        placing=placing and _placed(placing, slice(half, None), last=True),
    )
    return first, second


def _placed(placing: Placing, rows: slice, *, last: bool) -> Placing:
    return replace(
        placing,
        part=placing.part[rows],
        arrived=placing.arrived[rows],
        fault_part=placing.fault_part if last else placing.fault_part[:0],
        reached=placing.reached if last else {},
    )
