"""Records that are refused, gathered while a chunk is parsed and laid out as one table at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from citywatch.records.chunk import Chunk, rejected_schema
from citywatch.records.columns import Array, Positions, listed
from citywatch.records.csv_rows import header_line

_ID_DIGITS = 32


@dataclass(slots=True)
class Refusals:
    """Row numbers of a chunk with the reason why each is refused; `n` counts the events of one record."""

    rows: list[int] = field(default_factory=list)
    ns: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    mappings: list[str | None] = field(default_factory=list)

    def add(self, rows: Sequence[int], reasons: Sequence[str], mapping: str | None, ns: Sequence[int] = ()) -> None:
        """Refuse `rows`, each with its reason."""
        self.rows.extend(int(row) for row in rows)
        self.ns.extend(ns or [0] * len(rows))
        self.reasons.extend(reasons)
        self.mappings.extend([mapping] * len(rows))

    def table(self, chunk: Chunk, now: int) -> tuple[pa.Table, Positions]:
        """Table with `rejected_schema()`, in the order of the records, and the row of each; `now` is µs UTC."""
        order = np.lexsort((self.ns, self.rows))
        taken = chunk.records.take(pa.array([self.rows[i] for i in order], pa.int64()))
        lines, raws = listed(taken["line"]), listed(taken["raw"])
        rows = [self.rows[i] for i in order]
        reasons = [self.reasons[i] for i in order]
        ns = [self.ns[i] for i in order]
        mappings = [self.mappings[i] for i in order]
        texts: list[Array] = [pa.array([_as_sent(chunk, raw.rstrip(b"\r\n")) for raw in raws], pa.binary())]
        if (faults := chunk.faults) is not None:
            lines += listed(faults["line"])
            raws += [value.as_buffer() for value in faults["raw"]]
            texts += _faults_as_sent(chunk, faults)
            rows += range(chunk.records.num_rows, chunk.records.num_rows + faults.num_rows)
            reasons += listed(faults["reason"])
            ns += [0] * faults.num_rows
            mappings += [None] * faults.num_rows
        sources = _sources(chunk, rows)
        names = [source if chunk.placing else _basename(source) for source in sources]
        ids = [rejected_id(chunk, *of) for of in zip(names, rows, lines, raws, ns, strict=True)]
        whole = pa.chunked_array(texts, pa.binary())
        columns = [ids, sources, lines, reasons, whole, mappings, [now] * len(ids)]
        return pa.table(columns, schema=rejected_schema()), np.array(rows, np.int64)


def _sources(chunk: Chunk, rows: Sequence[int]) -> list[str]:
    """What a person calls the place where each row stands."""
    if (placing := chunk.placing) is None:
        return [chunk.origin.name] * len(rows)
    parts = np.concatenate([placing.part, placing.fault_part])[np.array(rows, np.int64)]
    return [placing.names[part] for part in parts.tolist()]


def _basename(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def rejected_id(  # noqa: PLR0917 - the columns of a table, zipped
    chunk: Chunk, name: str, row: int, line: int, raw: bytes | pa.Buffer, n: int
) -> str:
    """Id of a refused record: the same for the same record of the same file, wherever the file lies.

    The line end is no part of it: the last line of a file need not have one.
    """
    place = f"{line};{n};"
    if chunk.ordinals is not None and row < len(chunk.ordinals) and chunk.ordinals[row]:
        place += f"{chunk.ordinals[row]};"
    digest = hashlib.sha256(f"{len(name)}:{name}{place}".encode("utf-8", "surrogateescape"))
    digest.update(raw.rstrip(b"\r\n") if isinstance(raw, bytes) else raw)
    return digest.hexdigest()[:_ID_DIGITS]


def _faults_as_sent(chunk: Chunk, faults: pa.Table) -> list[Array]:
    """Contents of faults, which may be large and lie on disk: not copied where nothing is added to them."""
    pieces: list[Array] = faults["raw"].chunks
    if chunk.origin.replay or chunk.header is None:
        return pieces
    return [pa.array([_as_sent(chunk, raw) for raw in listed(piece)], pa.binary()) for piece in pieces]


def _as_sent(chunk: Chunk, raw: bytes) -> bytes:
    """A record as it can be read again: a row that came over the network has no file where its header stands."""
    if chunk.origin.replay or chunk.header is None:
        return raw
    return header_line(chunk.header, chunk.delimiter).encode() + b"\n" + raw
