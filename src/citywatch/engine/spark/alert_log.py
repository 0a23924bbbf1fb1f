"""Which entries of a shard's log still tell something of open alerts: a log that is cleaned as it is written.

Alerts are told anew when they change, so entries go stale. Each batch tells again what lives in the oldest entries, at
most as much as it has to tell itself: what is written grows with the batch, what is kept with the alerts that are open.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

_SLACK = 64


class AlertLog:
    """What is told where: of each alert its body and its evidence, each in one entry."""

    def __init__(self) -> None:
        self._where: dict[tuple[str, str], int] = {}
        self._lives: dict[int, dict[tuple[str, str], None]] = {}
        self._told = 0
        self._sizes: dict[int, int] = {}

    def note(self, number: int, alerts: Iterable[str], evidence: Iterable[str]) -> None:
        """Entry `number`, later than all others, tells these alerts, and the evidence of these."""
        items = [*(("body", i) for i in alerts), *(("evidence", i) for i in evidence)]
        for item in items:
            self._leave(item)
            self._where[item] = number
        self._lives[number] = dict.fromkeys(items)
        self._sizes[number] = len(items)
        self._told += len(items)

    def forget(self, alerts: Iterable[str]) -> None:
        """These alerts are not open any more."""
        for alert in alerts:
            self._leave(("body", alert))
            self._leave(("evidence", alert))

    def keep(self, alerts: Iterable[str]) -> None:
        """Forget all but these."""
        open_ = set(alerts)
        self.forget({alert for _, alert in self._where} - open_)

    def stale(self) -> list[int]:
        """Entries that tell nothing any more; they are to be removed."""
        gone = [number for number, lives in self._lives.items() if not lives]
        for number in gone:
            del self._lives[number]
            self._told -= self._sizes.pop(number)
        return gone

    def again(self, room: int) -> tuple[list[str], list[str]]:
        """Alerts, and alerts whose evidence, a batch that tells `room` things is to tell again."""
        if self._told <= 2 * len(self._where) + _SLACK:
            return [], []
        oldest = list(islice((item for lives in self._lives.values() for item in lives), room))
        return [i for kind, i in oldest if kind == "body"], [i for kind, i in oldest if kind == "evidence"]

    def _leave(self, item: tuple[str, str]) -> None:
        if (number := self._where.pop(item, None)) is not None:
            del self._lives[number][item]
