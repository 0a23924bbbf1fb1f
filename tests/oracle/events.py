"""Section 1: which records become events, and what is true of each of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.geometry import Polygon, contains

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}

TEXT = (
    "address street borough device_id device_kind image_id plate plate_state plate_type vehicle_make vehicle_body"
    " vehicle_color summons_number issuer_agency corrects_source corrects_id person_id first_name last_name gender"
    " phone picture sensor_kind unit label"
).split()
TEXTS = ["behaviors"]
REAL = "lat lon x y battery temperature altitude speed_kmh humidity light plate_confidence value confidence".split()
SMALL = "precinct violation_code vehicle_year age severity".split()
WHOLE = ["behavior_score", "dangerosity"]
TRUTH = ["needs_human"]
RANGES = {"lat": (-90, 90), "lon": (-180, 180)}


class RejectedError(Exception):
    """The record does not become an event."""


def duration(text: str) -> int:
    """`<n>s|m|h|d|w` in microseconds."""
    return int(text[:-1]) * UNITS[text[-1]]


def instant(text: str) -> int:
    """RFC 3339 with an offset as microseconds since 1970; finer than that is cut."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d:\d\d))", text, re.ASCII
    )
    if not found:
        raise RejectedError(f"no RFC 3339 time with an offset: {text!r}")
    date, clock, fraction, _, offset = found.groups()
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}{offset or '+00:00'}")
    except ValueError as error:
        raise RejectedError(str(error)) from error
    return (whole - EPOCH) // MICROSECOND + int((fraction or "0")[:6].ljust(6, "0"))


@dataclass(frozen=True)
class Settings:
    """What decides alerts; durations in microseconds. `now` is real time while reading, None = long after all."""

    lateness: int = 60 * UNITS["s"]
    disorder: int = 5 * UNITS["s"]
    stale: int = 24 * UNITS["h"]
    future: int = 5 * UNITS["m"]
    zone: str = "America/New_York"
    now: int | None = None
    arrival: int = 0
    """For a record with neither `time` nor `receivedat`: the file's modification time, or `--date`."""
    polygons: Mapping[str, Polygon] = field(default_factory=dict)
    lists: Mapping[str, list[dict[str, str]]] = field(default_factory=dict)
    """Rows with value, from, until by name of the list."""


@dataclass(frozen=True)
class Event:
    """An accepted record. `fields` holds every known field, attributes and derived ones included."""

    source: str
    id: str
    type: str
    time: int
    received_at: int
    late: bool
    stale: bool
    backfill: bool
    fields: Mapping[str, Any]
    data: Any
    """Any JSON; only an object has members."""
    position: int
    """In the order of reading, from 0."""

    @property
    def order(self) -> tuple[int, str, str]:
        """(time, source, id); Python compares text by code point, as the contract does."""
        return (self.time, self.source, self.id)


@dataclass
class Counts:
    """Every record read is exactly one of event, duplicate, rejected."""

    read: int = 0
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    late: int = 0
    backfill: int = 0


@dataclass
class Intake:
    """What reading gave, and where the clock stands after it."""

    events: list[Event]
    counts: Counts
    clock: int | None


def read(items: Iterable[Mapping[str, Any]], settings: Settings) -> Intake:
    """Read records in this order, from one source. An item `{"tick": µs}` moves the clock alone."""
    intake = Intake([], Counts(), None)
    known: dict[tuple[str, str], Any] = {}
    for position, item in enumerate(items):
        if "tick" in item:
            intake.clock = item["tick"] if intake.clock is None else max(intake.clock, item["tick"])
            continue
        intake.counts.read += 1
        try:
            _accept(position, item, intake, known, settings)
        except RejectedError:
            intake.counts.rejected += 1
    return intake


def _accept(position: int, given: Mapping[str, Any], intake: Intake, known: dict[Any, Any], settings: Settings) -> None:
    counts = intake.counts
    item = {name: value for name, value in given.items() if value is not None}  # null is as good as absent
    source, id_, type_ = (_required(item, name) for name in ("source", "id", "type"))
    time, received_at = _times(item, settings)
    fields = _fields(item, time, received_at, settings)
    if (source, id_) in known:
        counts.duplicates += 1
        counts.conflicts += known[source, id_] != _content(item)
        return
    known[source, id_] = _content(item)
    backfill = intake.clock is not None and received_at < intake.clock - settings.disorder
    intake.clock = received_at if intake.clock is None else max(intake.clock, received_at)
    late = received_at - time > settings.lateness
    stale = received_at - time > settings.stale
    fields |= {"source": source, "id": id_, "type": type_, "late": late}
    data = item.get("data")
    event = Event(source, id_, type_, time, received_at, late, stale, backfill, fields, data, position)
    counts.events += 1
    counts.late += late
    counts.backfill += backfill
    intake.events.append(event)


def _required(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise RejectedError(f"{name} is required")
    return value


def _content(item: Mapping[str, Any]) -> Any:
    """What makes a second delivery a conflict when it differs: time and payload, not when it was received."""
    content = {name: item[name] for name in ("time", "type", "subject", "data") if name in item}
    if "time" in content:
        content["time"] = instant(content["time"])
    return json.loads(json.dumps(content))


def _times(item: Mapping[str, Any], settings: Settings) -> tuple[int, int]:
    """(time, received_at) of a record in a file."""
    given = instant(item["time"]) if "time" in item else None
    if "receivedat" in item:
        received_at = instant(item["receivedat"])
        if settings.now is not None and received_at > settings.now + settings.future:
            raise RejectedError("received in the future")
    elif given is None:
        received_at = settings.arrival
    else:
        received_at = given if settings.now is None else min(given, settings.now)
    time = received_at if given is None else given
    if time > received_at + settings.future:
        raise RejectedError("time_in_future")
    return time, received_at


def _fields(item: Mapping[str, Any], time: int, received_at: int, settings: Settings) -> dict[str, Any]:
    fields: dict[str, Any] = {name: cast(name, member(item.get("data"), name)) for name in CASTS}
    fields |= {"subject": item.get("subject"), "time": time, "received_at": received_at, "time_precision": "second"}
    fields["zones"] = None
    if fields["lat"] is not None and fields["lon"] is not None:
        place = (fields["lon"], fields["lat"])
        fields["zones"] = sorted(name for name, polygon in settings.polygons.items() if contains(polygon, place))
    local = (EPOCH + time * MICROSECOND).astimezone(ZoneInfo(settings.zone))
    fields["local_date"] = local.date()
    fields["local_hour"] = local.hour
    fields["local_weekday"] = local.isoweekday()
    fields["timeframe"] = ["night", "morning", "afternoon", "evening"][local.hour // 6]
    return fields


def member(data: Any, name: str) -> Any:
    """What an object says under a name; None where it says nothing, and of whatever is no object."""
    return data.get(name) if isinstance(data, Mapping) else None


def cast(name: str, value: Any) -> Any:
    """The value of a known field; raises RejectedError where it does not cast. None stays None."""
    return None if value is None else CASTS[name](name, value)


def _text(name: str, value: Any) -> str | None:
    if not isinstance(value, str):
        raise RejectedError(f"{name} is no text")
    if name == "plate":
        return re.sub("[^A-Z0-9]", "", value.upper()) or None
    return value


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise RejectedError(f"{name} is no list of texts")
    return value


def _real(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError) as error:
        raise RejectedError(f"{name} is no number") from error
    low, high = RANGES.get(name, (-math.inf, math.inf))
    if not math.isfinite(number) or not low <= number <= high:
        raise RejectedError(f"{name} is out of range")
    return number


def _whole(bits: int) -> Callable[[str, Any], int]:
    def whole(name: str, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**bits) <= value < 2**bits:
            raise RejectedError(f"{name} is no integer of its size")
        return value

    return whole


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RejectedError(f"{name} is not true or false")
    return value


CASTS: dict[str, Callable[[str, Any], Any]] = (
    dict.fromkeys(TEXT, _text)
    | dict.fromkeys(TEXTS, _texts)
    | dict.fromkeys(REAL, _real)
    | dict.fromkeys(SMALL, _whole(15))
    | dict.fromkeys(WHOLE, _whole(31))
    | dict.fromkeys(TRUTH, _truth)
)
