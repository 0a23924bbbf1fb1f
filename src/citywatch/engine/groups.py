"""Match events of a plain rule with a suppression, by key and bucket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from citywatch.alert import EVIDENCE_LIMIT
from citywatch.engine.runs import Ints, Keys, Mask, ranges
from citywatch.engine.streams import Names, in_order
from citywatch.rules.model import Rule


@dataclass(slots=True)
class PlainGroups:
    """Events of a plain rule sorted by (key, time, source, id), cut into groups [start, end) of one key and bucket."""

    texts: list[str]
    k: Keys
    t: Ints
    ref: Ints
    late: Mask
    bucket: Ints
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, rule: Rule, rows: pa.Table, names: Names) -> PlainGroups:
        """From ref, t, late and key (JSON text) of the events that the rule holds for."""
        code = rows["key"].combine_chunks().dictionary_encode()
        k, t, ref = code.indices.to_numpy().astype(np.uint64), rows["t"].to_numpy(), rows["ref"].to_numpy()
        order = in_order(k, t, ref, names)
        k, t, ref, late = k[order], t[order], ref[order], rows["late"].to_numpy()[order]
        bucket = t // rule.suppression
        starts = np.flatnonzero(np.concatenate(([True], (k[1:] != k[:-1]) | (bucket[1:] != bucket[:-1]))))
        texts = [str(text) for text in code.dictionary.to_pylist()]
        return cls(texts, k, t, ref, late, bucket, starts, np.append(starts[1:], len(k)))

    def shown(self) -> Ints:
        """Positions of the events that may stand in evidence: the earliest of each group."""
        return ranges(self.starts, np.minimum(self.ends - self.starts, EVIDENCE_LIMIT))
