"""impossible_travel: two events of one key too far apart for the time between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from citywatch.engine.evaluator import Evaluator, Evidence, Matches, rows_of
from citywatch.engine.runs import Floats, Ints, Mask, Run, ranges
from citywatch.engine.streams import Names, Stream
from citywatch.rules.model import CorrelationType, Rule

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the sphere on which distances are measured."""

_FIRST_LOOK = 32
_PAIRS_AT_ONCE = 2_000_000
_HOUR = 3_600_000_000


def haversine_km(lat1: Floats, lon1: Floats, lat2: Floats | float, lon2: Floats | float) -> Floats:
    """Distance on the sphere in kilometres; NaN where a position is unknown."""
    lat1, lat2 = np.radians(lat1), np.radians(lat2)
    half_lat, half_lon = (lat2 - lat1) / 2, np.radians(lon2 - lon1) / 2
    a = np.sin(half_lat) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin(half_lon) ** 2
    out: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(a, 1.0)))
    return out


class ImpossibleTravel(Evaluator):
    """An event e with an earlier event p of its key in (t-T, t], at least so far away and faster than allowed."""

    TYPE = CorrelationType.IMPOSSIBLE_TRAVEL
    WAITS = False

    def __init__(self, rule: Rule, streams: list[Stream], names: Names) -> None:
        super().__init__(rule, streams, names)
        self._speed = float(self.correlation.max_speed_kmh)
        self._distance = float(self.correlation.min_distance_km)

    def test(self, run: Run, rows: Ints) -> Mask:
        """Look at the nearest earlier events first and further back only for what has not matched yet."""
        hit = np.zeros(len(rows), np.bool_)
        for earlier, low, high in self._reach(run, rows):
            step = _FIRST_LOOK
            while len(open_ := np.flatnonzero(~hit & (high > low))):
                open_ = open_[: max(1, _PAIRS_AT_ONCE // step)]
                size = np.minimum(step, high[open_] - low[open_])
                high[open_] -= size
                p = ranges(high[open_], size)
                owner = np.repeat(open_, size)
                far = self._apart(run, rows[owner], earlier, p)[0]
                hit[owner[far]] = True
                step = min(step * 4, _PAIRS_AT_ONCE)
        return hit

    def _reach(self, run: Run, rows: Ints) -> list[tuple[Run, Ints, Ints]]:
        """For each run, newest first, the positions [low, high) of the events before each row that could satisfy."""
        k, t = run.k[rows], run.t[rows]
        out = []
        for earlier in reversed(self.streams[0].runs):
            segments = earlier.segments(k)
            low = earlier.positions(segments, self._oldest(earlier, run, rows), "right")
            high = rows.copy() if earlier is run else earlier.positions(segments, t, "right")
            out.append((earlier, low, np.maximum(low, high)))
        return out

    def _oldest(self, earlier: Run, run: Run, rows: Ints) -> Ints:
        """Time after which an event must be: within T, and not so long ago that any place in the run was in reach."""
        t: Ints = run.t[rows]
        if not self._speed or not len(earlier):
            return t - self.span
        lat, lon, radius = _extent(earlier)
        reach = haversine_km(run.columns["lat"][rows], run.columns["lon"][rows], lat, lon) + radius
        drive = np.nan_to_num(reach / self._speed * _HOUR, nan=0.0) + 1_000_000
        return t - np.minimum(drive, self.span).astype(np.int64)

    def _apart(self, run: Run, e: Ints, earlier: Run, p: Ints) -> tuple[Mask, Floats, Floats]:
        """Which pairs satisfy the rule, their distances in km and the hours between them."""
        km = haversine_km(
            run.columns["lat"][e], run.columns["lon"][e], earlier.columns["lat"][p], earlier.columns["lon"][p]
        )
        hours = (run.t[e] - earlier.t[p]) / _HOUR
        return (km >= self._distance) & (km > self._speed * hours), km, hours

    def _pairs(self, matches: Matches) -> list[tuple[Ints, Ints, Floats, Floats]]:
        """(match, ref of p, km, hours) of every p that satisfies, oldest first for each match."""
        found = []
        for run in self.streams[0].runs:
            rows, owner = rows_of(run, matches)
            for earlier, low, high in reversed(self._reach(run, rows)):
                for part in _parts(high - low):
                    size = (high - low)[part]
                    p = ranges(low[part], size)
                    e = np.repeat(rows[part], size)
                    far, km, hours = self._apart(run, e, earlier, p)
                    found.append((np.repeat(owner[part], size)[far], earlier.ref[p[far]], km[far], hours[far]))
        return found

    def evidence(self, matches: Matches) -> Evidence:
        pairs = self._pairs(matches)
        owner, ref = (np.concatenate([p[i] for p in pairs]).astype(np.int64) for i in (0, 1))
        order = np.argsort(owner, kind="stable")
        owner, ref = owner[order], ref[order]
        nth = np.arange(len(owner)) - np.searchsorted(owner, owner)
        return Evidence(owner[nth < self.LIMIT], ref[nth < self.LIMIT])

    def values(self, matches: Matches) -> list[dict[str, Any]]:
        """Of each match the fastest pair."""
        best: list[dict[str, Any]] = [{} for _ in range(len(matches))]
        for owners, _, kms, hours in self._pairs(matches):
            for owner, km, h in zip(owners.tolist(), kms.tolist(), hours.tolist(), strict=True):
                speed = km / h if h else None
                known = best[owner].get("speed_kmh", -1.0)
                if known is not None and (speed is None or speed > known):
                    best[owner] = {"speed_kmh": speed, "distance_km": km, "minutes": h * 60}
        return [{n: None if v is None else round(v, 1) for n, v in b.items()} for b in best]


def _extent(run: Run) -> tuple[float, float, float]:
    """A position in the run and the greatest distance of its other positions from it, km."""
    if "extent" not in run.derived:
        lat, lon = run.columns["lat"].astype(np.float64), run.columns["lon"].astype(np.float64)
        known = np.flatnonzero(~np.isnan(lat) & ~np.isnan(lon))
        if len(known):
            lat0, lon0 = float(lat[known[0]]), float(lon[known[0]])
            radius = float(haversine_km(lat[known], lon[known], lat0, lon0).max())
            run.derived["extent"] = (lat0, lon0, radius)
        else:
            run.derived["extent"] = (0.0, 0.0, 0.0)
    extent: tuple[float, float, float] = run.derived["extent"]
    return extent


def _parts(sizes: Ints) -> list[Ints]:
    """Groups of consecutive indexes whose sizes add up to a bounded number of pairs."""
    if not len(sizes):
        return []
    group = np.cumsum(sizes) // _PAIRS_AT_ONCE
    return np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(group)) + 1)
