"""The street graph, and drives over it: which plate readers a vehicle passes, when, and how fast.

Nodes are the crossings of `geography`; an edge is a block, with a length and a legal speed. Where parks lie, which
streets are one-way and which roads are fast is drawn from the seed. Drives are made once, all together; vehicles
choose among them, so that what a vehicle does at any time can be looked up without driving what came before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Draws, Floats, Integers

STREET_KMH, AVENUE_KMH, EXPRESSWAY_KMH = 40, 48, 80
"""Legal speeds: 25, 30 and 50 miles an hour."""
DRIVE = 30 * MINUTE
"""How long a drive takes."""
DRIVES = 2048
_BLOCKS = 72
"""More than anybody drives within half an hour: 30 expressway blocks of half a minute, or 50 of others."""
_PARKS = 5
_HEADINGS = np.array([geography.AVENUES, 1, -geography.AVENUES, -1])
"""From a crossing to the next one north, east, south, west."""
_FLOW = (0.62, 1.0)
"""Share of the legal speed that traffic and lights leave, block by block."""


@dataclass(frozen=True)
class Streets:
    """`open_[crossing, heading]`: whether one may drive there; `kmh` and `metres` of the same shape."""

    open_: NDArray[np.bool_]
    kmh: Floats
    metres: Floats

    @property
    def nodes(self) -> int:
        """Crossings that some street leads away from."""
        return int(self.open_.any(axis=1).sum())

    @property
    def edges(self) -> int:
        """Blocks, each direction counted."""
        return int(self.open_.sum())


@dataclass(frozen=True)
class Drives:
    """All passes of all drives, ordered by (drive, time).

    Parameters
    ----------
    first
        Of each drive, its first pass: the passes of drive d are first[d] .. first[d + 1].
    keys
        drive * DRIVE + µs since its beginning, of each pass.
    reader
        The plate reader that is passed.
    kmh
        The speed there.
    """

    first: Integers
    keys: Integers
    reader: Integers
    kmh: Integers

    @property
    def passes_a_drive(self) -> float:
        """How many readers a vehicle passes in half an hour, on average."""
        return len(self.keys) / DRIVES


@cache
def streets(seed: int) -> Streets:
    """The street graph of a seed."""
    draws = Draws(seed, "streets")
    row, column = np.divmod(np.arange(geography.CROSSINGS), geography.AVENUES)
    open_ = np.column_stack(
        [row < geography.STREETS - 1, column < geography.AVENUES - 1, row > 0, column > 0]
    ) & ~_one_way(draws, row, column)
    fast = _fast(draws, row, column)
    usual = np.array([AVENUE_KMH, STREET_KMH, AVENUE_KMH, STREET_KMH])
    kmh = np.where(fast & ~_touching(np.array(geography.SCHOOLS)), EXPRESSWAY_KMH, usual)
    north, east = 111.195 * geography.STREET_STEP, 84.3 * geography.AVENUE_STEP
    metres = np.broadcast_to(np.array([north, east, north, east]), kmh.shape)
    return Streets(_without_dead_ends(open_ & ~_in_parks(draws, row, column)), kmh.astype(np.float64), metres)


def _one_way(draws: Draws, row: Integers, column: Integers) -> NDArray[np.bool_]:
    """Which headings are forbidden: two of three inner streets are one-way, in alternation, and some avenues."""
    street = (row % 3 != int(draws.below(np.array([0]), 3, "two-way")[0])) & _inside(row, geography.STREETS)
    avenue = (column % 5 == int(draws.below(np.array([1]), 5, "one-way")[0])) & _inside(column, geography.AVENUES)
    return np.column_stack(
        [avenue & (column % 2 == 1), street & (row % 2 == 1), avenue & (column % 2 == 0), street & (row % 2 == 0)]
    )


def _without_dead_ends(open_: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nobody drives to where no street leads away from."""
    leading = open_ & np.asarray(open_.any(axis=1))[_ends()]
    return open_ if (leading == open_).all() else _without_dead_ends(leading)


def _inside(line: Integers, lines: int) -> NDArray[np.bool_]:
    return (line > 0) & (line < lines - 1)


def _fast(draws: Draws, row: Integers, column: Integers) -> NDArray[np.bool_]:
    """Expressways: two avenues and two streets."""
    avenues = 4 + draws.below(np.arange(2), 9, "fast avenue") + np.array([0, 13])
    roads = 6 + draws.below(np.arange(2), 12, "fast street") + np.array([0, 18])
    along_avenue, along_street = np.isin(column, avenues), np.isin(row, roads)
    return np.column_stack([along_avenue, along_street, along_avenue, along_street])


def _in_parks(draws: Draws, row: Integers, column: Integers) -> NDArray[np.bool_]:
    """Blocks that start or end inside of a park."""
    inside = np.zeros(geography.CROSSINGS, bool)
    for park in range(_PARKS):
        south, west, height, width = (
            int(draws.below(np.array([park]), limit, purpose)[0])
            for limit, purpose in ((34, "park, south"), (24, "park, west"), (3, "park, height"), (3, "park, width"))
        )
        inside |= (row > south) & (row <= south + height + 1) & (column > west) & (column <= west + width + 1)
    return _touching(np.flatnonzero(inside))


def _touching(crossings: Integers) -> NDArray[np.bool_]:
    """Blocks that start or end at one of the crossings."""
    chosen: NDArray[np.bool_] = np.zeros(geography.CROSSINGS, np.bool_)
    chosen[crossings] = True
    return chosen[:, None] | chosen[_ends()]


def _ends() -> Integers:
    """For each crossing and heading the next crossing; beyond the edge of the city it is some other one."""
    ends: Integers = (np.arange(geography.CROSSINGS)[:, None] + _HEADINGS).clip(0, geography.CROSSINGS - 1)
    return ends


@cache
def drives(seed: int) -> Drives:
    """The drives of a seed: at a crossing mostly straight on, sometimes a turn, back only where nothing else goes."""
    graph, draws = streets(seed), Draws(seed, "drives")
    walkers = np.arange(DRIVES)
    starts = np.flatnonzero(graph.open_.any(axis=1))
    at = starts[draws.below(walkers, len(starts), "start")]
    heading = draws.below(walkers, 4, "heading")
    clock = np.zeros(DRIVES)
    passes = []
    for block in range(_BLOCKS):
        heading = _next_heading(graph, draws, block, at, heading)
        share = _FLOW[0] + (_FLOW[1] - _FLOW[0]) * draws.unit(walkers, f"traffic {block}")
        kmh = graph.kmh[at, heading] * share
        clock = clock + graph.metres[at, heading] / (kmh / 3.6)
        at = at + _HEADINGS[heading]
        passes.append((walkers, clock * SECOND, geography.reader_at()[at], kmh))
    return _ordered(passes)


def _next_heading(graph: Streets, draws: Draws, block: int, at: Integers, heading: Integers) -> Integers:
    walkers = np.arange(len(at))
    liking = np.stack([draws.unit(walkers, f"turn {block} {way}") for way in range(4)], axis=1)
    liking[walkers, heading] += 1.5 * (draws.unit(walkers, f"straight {block}") < 0.8)
    liking[walkers, (heading + 2) % 4] -= 1
    liking[~graph.open_[at]] = -np.inf
    chosen: Integers = liking.argmax(axis=1)
    return chosen


def _ordered(passes: list[tuple[Integers, Floats, Integers, Floats]]) -> Drives:
    walker, clock, reader, kmh = (np.concatenate(column) for column in zip(*passes, strict=True))
    kept = np.flatnonzero((clock < DRIVE) & (reader >= 0))
    keys = walker[kept] * DRIVE + clock[kept].astype(np.int64)
    order = np.argsort(keys, kind="stable")
    kept, keys = kept[order], keys[order]
    first = np.searchsorted(keys, np.arange(DRIVES + 1) * DRIVE)
    return Drives(first, keys, reader[kept], kmh[kept].astype(np.int64))
