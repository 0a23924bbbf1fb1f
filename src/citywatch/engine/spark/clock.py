"""The clock of a shard: all shards hear the same of it, so all of them have the same.

It is the minimum, over the feeds (partitions) that had something to read in a batch, of the latest receipt heard of
each; a feed that has nothing left to read does not hold it back, and where none has, it follows real time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.runs import BEGINNING, END, Ints, Mask

PLACE = ("feed", "place", "row")
"""Columns that say where in the input an event stands; `row` is ascending within a place."""


@dataclass
class Clock:
    """`now` in µs; `heard`: the latest receipt of each feed."""

    now: int = BEGINNING
    heard: dict[str, int] = field(default_factory=dict)

    def advance(self, feeds: Iterable[str], receipts: pa.Table, tick: int | None, disorder: int) -> pa.Table:
        """Take in the receipts of a batch; returns the places of those that came too late: the backfill.

        Parameters
        ----------
        feeds
            Those that had something to read.
        receipts
            `PLACE` and `received` (µs) of all new events, in any order.
        tick
            Real time, where it is told.
        disorder
            So much the order of receipt may be disturbed, µs.
        """
        receipts = receipts.sort_by([(name, "ascending") for name in PLACE])
        of_feed = {feed: receipts.filter(pc.equal(receipts["feed"], pa.scalar(feed))) for feed in sorted(set(feeds))}
        late = [rows.filter(pa.array(self._backfill(feed, rows, of_feed, disorder))) for feed, rows in of_feed.items()]
        for feed, rows in of_feed.items():
            if len(rows):
                self.heard[feed] = max(self._heard(feed), pc.max(rows["received"]).as_py())
        self._move([self.heard[feed] for feed in of_feed if feed in self.heard], tick)
        return pa.concat_tables([receipts.slice(0, 0), *late]).select(list(PLACE))

    def _heard(self, feed: str) -> int:
        return self.heard.get(feed, self.now)

    def _backfill(self, feed: str, rows: pa.Table, feeds: Iterable[str], disorder: int) -> Mask:
        """Which of a feed's events, in its order, were received before the clock that stood when they were read."""
        received: Ints = rows["received"].to_numpy()
        others = min((self._heard(other) for other in feeds if other != feed), default=END)
        before = np.maximum.accumulate(np.concatenate(([self._heard(feed)], received[:-1])))[: len(received)]
        late: Mask = received < np.maximum(np.minimum(before, others), self.now) - disorder
        return late

    def _move(self, heard: list[int], tick: int | None) -> None:
        if heard:
            self.now = max(self.now, min(heard))
        elif tick is not None:
            self.now = max(self.now, tick)
