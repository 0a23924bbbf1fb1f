"""Records that are refused, gathered while a chunk is parsed and laid out as one table at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from citywatch.records.chunk import Origin, rejected_schema
from citywatch.records.columns import listed

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

    def table(self, records: pa.Table, faults: pa.Table | None, origin: Origin, now: int) -> pa.Table:
        """Table with `rejected_schema()`, in the order of the records; `now` is µs UTC."""
        order = np.lexsort((self.ns, self.rows))
        taken = records.take(pa.array([self.rows[i] for i in order], pa.int64()))
        lines, raws = listed(taken["line"]), listed(taken["raw"])
        reasons = [self.reasons[i] for i in order]
        ns = [self.ns[i] for i in order]
        mappings = [self.mappings[i] for i in order]
        if faults is not None:
            lines += listed(faults["line"])
            raws += listed(faults["raw"])
            reasons += listed(faults["reason"])
            ns += [0] * faults.num_rows
            mappings += [None] * faults.num_rows
        ids = [rejected_id(origin, *of) for of in zip(lines, raws, ns, strict=True)]
        texts = [raw.rstrip(b"\r\n") for raw in raws]
        columns = [ids, [origin.name] * len(ids), lines, reasons, texts, mappings, [now] * len(ids)]
        return pa.table(columns, schema=rejected_schema())


def rejected_id(origin: Origin, line: int, raw: bytes, n: int) -> str:
    """Id of a refused record: the same for the same record of the same file, wherever the file lies."""
    name = origin.name.replace("\\", "/").rsplit("/", 1)[-1]
    digest = hashlib.sha256(f"{len(name)}:{name}{line};{n};".encode("utf-8", "surrogateescape"))
    digest.update(raw)
    return digest.hexdigest()[:_ID_DIGITS]
