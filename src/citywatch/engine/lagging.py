"""Whether logs are read more slowly than they are written: then alerts come late, and somebody should know."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from citywatch.alert import facts_schema
from citywatch.engine.own import Backlog, lag_facts
from citywatch.settings import MINUTE

LONG = MINUTE


class Lagging:
    """Looks at logs now and then, and tells of each that is behind for longer than `LONG`, once until it is not.

    A log is behind while records of it wait and the engine's clock is `LONG` behind real time: what is under way at any
    moment is none. A short absence that is made up for within that time is told to nobody.
    """

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._told: set[str] = set()

    def look(self, logs: Iterable[tuple[str, int]], clock: int, now: int) -> pa.Table:
        """Alert facts of the logs that are to be told now; `logs` has (name, records that wait), times are µs UTC."""
        behind = {name: count for name, count in logs if count and now - clock > LONG}
        self._since = {name: self._since.get(name, now) for name in behind}
        self._told &= behind.keys()
        new = [name for name in behind if name not in self._told and now - self._since[name] > LONG]
        self._told.update(new)
        tables = [lag_facts(Backlog(name, self._since[name], behind[name], clock), now) for name in new]
        return pa.concat_tables([facts_schema().empty_table(), *tables])
