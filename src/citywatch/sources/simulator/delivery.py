"""How events arrive: after a while, sometimes late, sometimes twice, now and then broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from citywatch.settings import SECOND
from citywatch.sources.simulator.draws import Draws, Integers
from citywatch.sources.simulator.stream import Drawn
from citywatch.sources.simulator.text import Text, look_up, received

DELAY = 400_000
"""Mean of the exponential part of a delay, µs."""
LATE_SHARE = 0.002
"""Received one to five minutes after they happened."""
TWICE_SHARE = 0.003
BROKEN_SHARE = 0.0005
"""Sent once more with something broken, besides the whole event."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Lines in any order: when each was received (µs) and a number that settles ties."""

    received: Integers
    order: Integers
    lines: Text

    def take(self, rows: Integers) -> Delivered:
        """Some of the lines, in the order of `rows`."""
        return Delivered(self.received[rows], self.order[rows], look_up(self.lines, rows))


def nothing() -> Delivered:
    """No line."""
    return Delivered(np.empty(0, np.int64), np.empty(0, np.int64), pa.array([], pa.string()))


def together(parts: list[Delivered]) -> Delivered:
    """All lines of the parts."""
    received_at = np.concatenate([part.received for part in parts])
    order = np.concatenate([part.order for part in parts])
    return Delivered(received_at, order, pa.concat_arrays([part.lines for part in parts]))


def delays(draws: Draws, numbers: Integers, *, can_be_late: bool) -> Integers:
    """µs from each event to its receipt: some tenths of a second, at most 4 s unless it is late."""
    usual: Integers = (
        np.minimum(-np.log1p(-draws.unit(numbers, "delay")) * DELAY, 3.95 * SECOND).astype(np.int64) + 50_000
    )
    if not can_be_late:
        return usual
    late = draws.unit(numbers, "late") < LATE_SHARE
    return np.where(late, 61 * SECOND + draws.below(numbers, 240 * SECOND, "how late"), usual)


def deliver(drawn: Drawn, draws: Draws, stream: int, *, can_be_late: bool) -> Delivered:
    """The lines that come of the events of a stream; `stream` is its number, below 32."""
    numbers = drawn.numbers
    at = drawn.times + delays(draws, numbers, can_be_late=can_be_late)
    order = (stream << 58) | numbers
    twice = np.flatnonzero(draws.unit(numbers, "twice") < TWICE_SHARE)
    again = at[twice] + SECOND // 2 + draws.below(numbers[twice], 20 * SECOND, "again")
    spoiled = np.flatnonzero(draws.unit(numbers, "broken") < BROKEN_SHARE)
    lines = received(drawn.bodies, at)
    return together(
        [
            Delivered(at, order, lines),
            Delivered(again, order[twice] | (1 << 56), received(look_up(drawn.bodies, twice), again)),
            Delivered(at[spoiled], order[spoiled] | (2 << 56), _broken(look_up(lines, spoiled), numbers[spoiled])),
        ]
    )


def _broken(lines: Text, numbers: Integers) -> Text:
    """Each line with something that must be rejected; rare, so one by one."""
    return pa.array(
        [
            _FAULTS[number % len(_FAULTS)](line)
            for line, number in zip(lines.to_pylist(), numbers.tolist(), strict=True)
        ],
        pa.string(),
    )


_FAULTS = (
    lambda line: line[: len(line) * 3 // 5],  # the connection broke
    lambda line: line.replace('"lat":40', '"lat":160') if '"lat"' in line else "{",  # no such latitude
    lambda line: line.replace('"time":"', '"time":"on '),  # no time
    lambda line: line.replace('"source":"', '"Source":"'),  # nobody sent it
    lambda line: (
        re.sub(r'"precinct":(\d+)', r'"precinct":"Pct. \1"', line) if '"precinct"' in line else "?"
    ),  # no number
    lambda line: f"<event>{len(line)}</event>",  # another language
    lambda line: line.replace('"data":{', '"data":['),  # brackets that do not match
)
