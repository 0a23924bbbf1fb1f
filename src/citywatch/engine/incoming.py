"""The events of a batch, found by their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from citywatch.engine.runs import Ints


class Events:
    """Events (`event.batch_schema()`, without duplicates) by `seq`, in whatever order they came."""

    def __init__(self, batch: pa.Table) -> None:
        self._batch = batch
        self._refs: Ints = batch["seq"].to_numpy()
        self._rows: Ints | None = None
        if len(batch) > 1 and not (self._refs[1:] > self._refs[:-1]).all():
            self._rows = np.argsort(self._refs)
            self._refs = self._refs[self._rows]

    def __len__(self) -> int:
        return len(self._batch)

    def __call__(self, refs: Ints, columns: Sequence[str] = ()) -> pa.Table:
        """These events in this order, all columns or some."""
        places = np.searchsorted(self._refs, refs)
        rows = places if self._rows is None else self._rows[places]
        return (self._batch.select(list(columns)) if columns else self._batch).take(rows)

    def names(self, refs: Ints) -> pa.Table:
        """Source and id of these events."""
        return self(refs, ("source", "id"))
