"""The rules of `rules/spark` as people write them on Spark alone: Python state by rule and key.

What stands beside `spark detect` in the bench `spark_detect`: from_json, filters, and for each key a list of what its
windows hold, looked through at each event. No copies are recognised, nothing is late, and no evidence is kept.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.state import GroupState

FIELDS = "plate string, plate_state string, plate_confidence double, device_id string, lat double, lon double"
EVENT = f"id string, source string, type string, time timestamp, receivedat timestamp, data struct<{FIELDS}>"
OUT = "rule string, key string, at double, count int"
STATE = "kept binary"

_MINUTE, _HOUR = 60.0, 3600.0
_RADIUS_KM = 6371.0088


class Read(NamedTuple):
    """What a window keeps of an event."""

    t: float
    value: str
    lat: float
    lon: float


Kept = list[Read]
Holds = Callable[[Kept, Read], bool]


def _event_count(kept: Kept, read: Read) -> bool:
    return sum(read.t - _MINUTE < other.t <= read.t for other in kept) >= 20


def _value_count(kept: Kept, read: Read) -> bool:
    return len({other.value for other in kept if read.t - 24 * _HOUR < other.t <= read.t}) >= 790


def _new_terms(kept: Kept, read: Read) -> bool:
    return not any(other.value == read.value for other in kept if read.t - 24 * _HOUR <= other.t < read.t)


def _change(kept: Kept, read: Read) -> bool:
    before = max((other for other in kept if other.t < read.t), default=None)
    return before is not None and before.t > read.t - 24 * _HOUR and before.value != read.value


def _travel(kept: Kept, read: Read) -> bool:
    for other in kept:
        hours = (read.t - other.t) / _HOUR
        if 0 <= hours < 12 and (km := _distance(other, read)) >= 1.5 and km > 180 * hours:
            return True
    return False


def _distance(a: Read, b: Read) -> float:
    p, q = math.radians(a.lat), math.radians(b.lat)
    h = math.sin((q - p) / 2) ** 2 + math.cos(p) * math.cos(q) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * _RADIUS_KM * math.asin(math.sqrt(h))


class PerKey(NamedTuple):
    """A rule: which events, by which key, which value of each, how far back (s), and when it holds."""

    where: str
    key: str
    value: str
    span: float
    holds: Holds


RULES = {
    "event_count": PerKey("plate_confidence >= 0.55", "plate", "''", _MINUTE, _event_count),
    "value_count": PerKey("true", "plate", "device_id", 24 * _HOUR, _value_count),
    "new_terms": PerKey("plate_confidence >= 0.5", "device_id", "plate_state", 24 * _HOUR, _new_terms),
    "change": PerKey("plate_confidence >= 0.51", "plate", "plate_state", 24 * _HOUR, _change),
    "impossible_travel": PerKey("plate_confidence >= 0.6", "plate", "''", 12 * _HOUR, _travel),
}


def matches(events: DataFrame) -> DataFrame:
    """Matches in events of the schema `EVENT`, as `OUT`."""
    reads = events.where("type = 'anpr.read'").selectExpr("CAST(time AS DOUBLE) AS t", "data.*")
    parts = [
        f"CASE WHEN {rule.where} THEN struct('{name}' AS rule, {rule.key} AS key, {rule.value} AS value) END"
        for name, rule in RULES.items()
    ]
    asked = reads.selectExpr("t", "lat", "lon", f"explode(array_compact(array({', '.join(parts)}))) AS asked")
    rows = asked.selectExpr("asked.rule", "asked.key", "asked.value", "t", "lat", "lon")
    return rows.groupBy("rule", "key").applyInPandasWithState(_judge, OUT, STATE, "append", "NoTimeout")


def _judge(key: tuple[str, str], frames: Iterator[Any], state: GroupState) -> Iterator[Any]:
    rule = RULES[key[0]]
    kept: Kept = pickle.loads(state.get[0]) if state.exists else []  # noqa: S301 - what this has written
    found = []
    for frame in frames:
        for row in frame.sort_values("t")[["t", "value", "lat", "lon"]].itertuples(index=False):
            read = Read(*row)
            if rule.holds is not _event_count and rule.holds is not _value_count:
                holds = rule.holds(kept, read)
                kept.append(read)
            else:
                kept.append(read)
                holds = rule.holds(kept, read)
            if holds:
                found.append((*key, read.t, len(kept)))
    newest = max((read.t for read in kept), default=0.0)
    state.update((pickle.dumps([read for read in kept if read.t > newest - 2 * rule.span]),))
    yield pd.DataFrame(found, columns=["rule", "key", "at", "count"])
