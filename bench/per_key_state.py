"""The rules of `rules/spark` as people write them on Spark alone: Python state by key.

What stands beside `spark detect` in the bench `spark_detect`: from_json, then for each plate, and for each camera, the
reads of the last day in order of time, looked through at each event. Rules about the same key share its state, windows
are found by bisection, and a key that says nothing makes no frame. No copies are recognised, nothing is late, and no
evidence is kept.
"""

from __future__ import annotations

import math
import pickle
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.state import GroupState

FIELDS = "plate string, plate_state string, plate_confidence double, device_id string, lat double, lon double"
EVENT = f"id string, source string, type string, time timestamp, receivedat timestamp, data struct<{FIELDS}>"
OUT = "rule string, key string, at double"
STATE = "kept binary"

_MINUTE, _HOUR = 60.0, 3600.0
_DAY = 24 * _HOUR
_RADIUS_KM = 6371.0088


class Read(NamedTuple):
    """What is kept of an event."""

    t: float
    device: str
    state: str
    confidence: float
    lat: float
    lon: float


Kept = list[Read]
Rule = Callable[[Kept, Read], bool]
"""Whether a rule holds at a read, which is among those that are kept, in order of time."""


def _since(kept: Kept, t: float) -> int:
    """The first that is later."""
    return bisect_right(kept, t, key=lambda read: read.t)


def _before(kept: Kept, t: float) -> int:
    """The first that is not earlier."""
    return bisect_left(kept, t, key=lambda read: read.t)


def _event_count(kept: Kept, read: Read) -> bool:
    window = kept[_since(kept, read.t - _MINUTE) : _since(kept, read.t)]
    return read.confidence >= 0.55 and len(window) >= 20 and sum(other.confidence >= 0.55 for other in window) >= 20


def _value_count(kept: Kept, read: Read) -> bool:
    window = kept[_since(kept, read.t - _DAY) : _since(kept, read.t)]
    return len(window) >= 790 and len({other.device for other in window}) >= 790


def _change(kept: Kept, read: Read) -> bool:
    if read.confidence < 0.51:
        return False
    for place in range(_before(kept, read.t) - 1, -1, -1):
        other = kept[place]
        if other.t <= read.t - _DAY:
            return False
        if other.confidence >= 0.51:
            return other.state != read.state
    return False


def _travel(kept: Kept, read: Read) -> bool:
    if read.confidence < 0.6:
        return False
    for other in islice(kept, _since(kept, read.t - 12 * _HOUR), _since(kept, read.t)):
        hours = (read.t - other.t) / _HOUR
        if other.confidence >= 0.6 and (km := _distance(other, read)) >= 1.5 and km > 180 * hours:
            return True
    return False


def _distance(a: Read, b: Read) -> float:
    p, q = math.radians(a.lat), math.radians(b.lat)
    h = math.sin((q - p) / 2) ** 2 + math.cos(p) * math.cos(q) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * _RADIUS_KM * math.asin(math.sqrt(h))


def _new_terms(kept: Kept, read: Read) -> bool:
    window = islice(kept, _before(kept, read.t - _DAY), _before(kept, read.t))
    known = any(other.state == read.state and other.confidence >= 0.5 for other in window)
    return read.confidence >= 0.5 and not known


RULES: Mapping[str, Mapping[str, Rule]] = {
    "plate": {
        "event_count": _event_count,
        "value_count": _value_count,
        "change": _change,
        "impossible_travel": _travel,
    },
    "device_id": {"new_terms": _new_terms},
}


def matches(events: DataFrame) -> DataFrame:
    """Matches in events of the schema `EVENT`, as `OUT`."""
    read = "CAST(time AS DOUBLE) AS t, data.device_id AS device, data.plate_state AS state"
    place = "data.plate_confidence AS confidence, data.lat AS lat, data.lon AS lon"
    keys = ", ".join(f"struct('{field}' AS field, data.{field} AS key)" for field in RULES)
    reads = events.where("type = 'anpr.read'").selectExpr(
        *read.split(", "), *place.split(", "), f"explode(array({keys})) AS by"
    )
    rows = reads.selectExpr("by.*", *Read._fields)
    return rows.groupBy("field", "key").applyInPandasWithState(_judge, OUT, STATE, "append", "NoTimeout")


def _judge(by: tuple[str, str], frames: Iterator[Any], state: GroupState) -> Iterator[Any]:
    field, key = by
    kept: Kept = pickle.loads(state.get[0]) if state.exists else []  # noqa: S301 - what this has written
    found = []
    for frame in frames:
        for row in sorted(zip(*(frame[name].tolist() for name in Read._fields), strict=True)):
            read = Read(*row)
            insort(kept, read)
            found += [(rule, key, read.t) for rule, holds in RULES[field].items() if holds(kept, read)]
    state.update((pickle.dumps(kept[_since(kept, kept[-1].t - 2 * _DAY) :]),))
    if found:
        yield pd.DataFrame(found, columns=["rule", "key", "at"])
