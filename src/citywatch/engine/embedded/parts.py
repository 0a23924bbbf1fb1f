"""Records of a log that has several parts: parsed together, handed in part by part. Each is a source of the clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from citywatch.engine.embedded.gathering import by_owner
from citywatch.engine.embedded.intake import Submission
from citywatch.records.chunk import Parsed, Placing
from citywatch.records.columns import Positions


def in_parts(parsed: Parsed, placing: Placing, source: str) -> list[Submission]:
    """What became of a chunk, as a submission for each part that it has records of.

    The last of them carries how far the log is read with all of them: they are committed together.
    """
    parts = np.concatenate([placing.part, placing.fault_part])
    event_part, refused_part = parts[_rows(parsed.rows)], parts[_rows(parsed.refused)]
    count = len(placing.names)
    events = by_owner(parsed.events, event_part + 1, count)
    rejected = by_owner(parsed.rejected, refused_part + 1, count)
    there = np.union1d(event_part, refused_part).tolist()
    reached = {there[-1]: placing.reached}
    return [
        Submission(
            Parsed(events[part], rejected[part], parsed.origin),
            f"{source} {placing.names[part]}",
            reached.get(part, {}),
        )
        for part in there
    ]


def placed_together(placings: Sequence[Placing]) -> Placing:
    """Placings of chunks of the same parts as that of one chunk."""
    return Placing(
        placings[0].names,
        np.concatenate([placing.part for placing in placings]),
        np.concatenate([placing.fault_part for placing in placings]),
        np.concatenate([placing.arrived for placing in placings]),
        {name: at for placing in placings for name, at in placing.reached.items()},
    )


def _rows(rows: Positions | None) -> Positions:
    return np.empty(0, np.int64) if rows is None else rows
