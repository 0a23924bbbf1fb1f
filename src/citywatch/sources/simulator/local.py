"""The clocks of the city: what people do depends on the hour there."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from citywatch.settings import DAY, HOUR, SECOND
from citywatch.sources.simulator.draws import Floats, Integers

ZONE = ZoneInfo("America/New_York")


def local(times: Integers) -> Integers:
    """µs since 1970 on the clocks of the city, for µs since 1970."""
    known, rows = np.unique(times // HOUR, return_inverse=True)
    offsets = np.array([_offset(int(hour)) for hour in known], np.int64)
    return times + offsets[rows]


@lru_cache(maxsize=100_000)
def _offset(hour: int) -> int:
    """µs east of UTC in an hour since 1970: clocks change at full hours."""
    moment = dt.datetime.fromtimestamp(hour * HOUR // SECOND, ZONE)
    return int((moment.utcoffset() or dt.timedelta()) / dt.timedelta(microseconds=1))


def hours(times: Integers) -> Integers:
    """Hour of the day, 0..23."""
    return local(times) % DAY // HOUR


def by_day(times: Integers) -> NDArray[np.bool_]:
    """Whether it is light."""
    hour = hours(times)
    return (hour >= 7) & (hour < 19)


def bustle(times: Integers) -> Floats:
    """How much goes on: 0 in the small hours to 1 in the afternoon."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * ((local(times) - 3 * HOUR) % DAY) / DAY)


def school_hours(time: int) -> bool:
    """Whether children are on their way to school or in it: a weekday from 8 to 15."""
    moment = dt.datetime.fromtimestamp(time / SECOND, ZONE)
    return moment.weekday() < 5 and 8 <= moment.hour < 15
