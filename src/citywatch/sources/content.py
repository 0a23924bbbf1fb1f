"""From bytes to chunks, by the kind of content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain
from pathlib import Path

from citywatch.errors import Place, SourceError
from citywatch.records.chunk import Chunk, Format, Origin
from citywatch.records.csv_rows import Header, cut_rows, read_header
from citywatch.records.json_items import cut_items
from citywatch.records.lines import Cut, cut_lines
from citywatch.records.ordinals import Ordinals
from citywatch.sources.exported import as_events, is_export
from citywatch.sources.streams import Blocks


class Kind(Enum):
    """What a file holds."""

    NDJSON = "ndjson"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


_SUFFIXES = {
    ".ndjson": Kind.NDJSON,
    ".jsonl": Kind.NDJSON,
    ".csv": Kind.CSV,
    ".tsv": Kind.CSV,
    ".parquet": Kind.PARQUET,
}


def kind_of(path: Path) -> Kind | None:
    """Kind by the name of a file, `.gz` aside; None when the content has to tell (`.json` may be lines or an array)."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return _SUFFIXES.get(name.suffix.lower())


def sniffed(head: bytes) -> Kind:
    """Kind by the beginning of the content."""
    text = head.lstrip()
    if text.startswith(b"["):
        return Kind.JSON
    if not text.startswith(b"{"):
        return Kind.CSV
    try:
        json.loads(text.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return Kind.JSON
    return Kind.NDJSON


def chunks_of(blocks: Blocks, kind: Kind, origin: Origin) -> Iterator[Chunk]:
    """Chunks of what the blocks hold; of one reading. Raises SourceError for a CSV that cannot be read."""
    if kind is Kind.CSV:
        yield from _csv_chunks(blocks, origin)
        return
    broken: Callable[[], str | None] = lambda: blocks.fault  # noqa: E731 - shorter than a function of one line
    cuts = cut_items(blocks, broken) if kind is Kind.JSON else cut_lines(blocks, broken=broken)
    yield from _chunks(cuts, Format.JSON, origin, None)


def _csv_chunks(blocks: Blocks, origin: Origin) -> Iterator[Chunk]:
    rest = iter(blocks)
    head, line = next(rest, b""), 1
    if not head.strip():
        return
    while not head.split(b"\n", 1)[0].strip():
        head, line = head.split(b"\n", 1)[1], line + 1
    first, _, behind = head.partition(b"\n")
    try:
        header = read_header(first)
    except ValueError as error:
        hint = "CSV has to begin with the names of its columns, in UTF-8"
        raise SourceError(f"cannot be read as CSV: {error}", where=Place(origin.name, line), hint=hint) from error
    if header.is_row:
        behind, line = head, line - 1
    cuts = cut_rows(chain([behind], rest), header, first=line + 1, broken=lambda: blocks.fault)
    if is_export(header):
        yield from _chunks(as_events(cuts, header), Format.JSON, origin, None)
    else:
        yield from _chunks(cuts, Format.CSV, origin, header)


def _chunks(cuts: Iterator[Cut], fmt: Format, origin: Origin, header: Header | None) -> Iterator[Chunk]:
    delimiter = header.delimiter if header else ","
    names = header.names if header and not header.is_row else None
    reading = Ordinals()
    told = names is None  # a header without rows is judged, too: whoever sent it hears that nobody knows it
    for cut in cuts:
        if cut.records.num_rows or cut.faults.num_rows or not told:
            told = True
            yield Chunk(origin, fmt, cut.records, names, cut.faults, delimiter, reading)
