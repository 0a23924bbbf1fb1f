"""The city as a sequence of batches of lines, in the order in which they are received."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from citywatch.settings import SECOND
from citywatch.sources.simulator.cctv import CameraEvents, PersonReports
from citywatch.sources.simulator.delivery import Delivered, deliver, nothing, together
from citywatch.sources.simulator.draws import Integers
from citywatch.sources.simulator.drones import Corrections, DronePositions, Images, Violations
from citywatch.sources.simulator.incidents.occurrence import HISTORY_MARK, Occurrence
from citywatch.sources.simulator.incidents.schedule import Phase, played
from citywatch.sources.simulator.sensors import SensorReadings
from citywatch.sources.simulator.status import DeviceStatus, Fleet
from citywatch.sources.simulator.stream import Drawn, Planted, Stream
from citywatch.sources.simulator.text import Text, received
from citywatch.sources.simulator.traffic import READERS, PlateReads, Tickets

WORLDS: dict[str, tuple[type[Stream], ...]] = {
    "city": (
        PlateReads, SensorReadings, CameraEvents, PersonReports, DronePositions, Violations, Images,
        DeviceStatus, Tickets,
    ),
    "cctv": (PlateReads, CameraEvents, PersonReports, DeviceStatus),
    "sensors": (SensorReadings,),
    "drones": (DronePositions, Violations, Images, DeviceStatus),
}  # fmt: skip
"""What may be simulated, and the streams that make it."""

HISTORY_RATE = 1.0
"""Events a second in the history that may come before the beginning."""
_SLAB_EVENTS = 20_000
_LAST = 4 * SECOND
"""How long after the end the last lines come."""
_INCIDENTS_STREAM = 31
"""Their number among the streams, for the order of what is received at the same time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate. `rate` in events a second of simulated time; times and durations in µs."""

    world: str
    seed: int
    rate: float
    start: int
    duration: int | None = None
    """None: it never ends."""
    history: int = 0
    """How long before the start to begin, at `HISTORY_RATE`."""
    pictures: float = 2.0
    """How many violations a second have a picture, at most."""

    @property
    def end(self) -> int | None:
        """None: it never ends."""
        return None if self.duration is None else self.start + self.duration

    def phases(self) -> list[Phase]:
        """The history, if there is one, and what comes after the start."""
        shown = Phase(self.start, self.end, self.rate)
        if not self.history:
            return [shown]
        return [Phase(self.start - self.history, self.start, min(HISTORY_RATE, self.rate), HISTORY_MARK), shown]


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines in the order of their receipt (µs), and what was planted up to the last of them."""

    received: Integers
    lines: Text
    planted: tuple[Planted, ...]


def batches(plan: Plan) -> Iterator[Batch]:
    """All lines of a plan, some seconds or minutes of simulated time at once; the same whatever is done with them.

    What would be late after the end does not come.
    """
    waiting, planted = nothing(), _Planted()
    scenes = _Incidents(plan)
    for end, drawn, delivered in _slabs(plan):
        planted.add([item for d in drawn for item in d.planted])
        lines, expected = scenes.until(end)
        planted.add(expected)
        ready, waiting = _until(together([waiting, *delivered, *lines]), end)
        yield Batch(ready.received, ready.lines, planted.until(end))
    rest, _ = _until(waiting, (plan.end or 0) + _LAST)
    yield Batch(rest.received, rest.lines, planted.until(None))


def cut(stream: Iterator[Batch], size: int) -> Iterator[Batch]:
    """The same lines in batches of exactly `size`, but the last; what was planted comes early."""
    left: Batch | None = None
    for batch in stream:
        left = batch if left is None else _joined(left, batch)
        while len(left.lines) >= size:
            yield _slice(left, 0, size)
            left = _slice(left, size, len(left.lines))
    if left is not None and (len(left.lines) or left.planted):
        yield left


def _joined(first: Batch, second: Batch) -> Batch:
    lines = pa.concat_arrays([first.lines, second.lines])
    return Batch(np.concatenate([first.received, second.received]), lines, first.planted + second.planted)


def _slice(batch: Batch, begin: int, end: int) -> Batch:
    planted = () if begin else batch.planted
    return Batch(batch.received[begin:end], batch.lines.slice(begin, end - begin), planted)


def _until(delivered: Delivered, end: int) -> tuple[Delivered, Delivered]:
    """What is received before `end`, in order, and the rest."""
    ready = delivered.received < end
    rows = np.flatnonzero(ready)
    in_order = rows[np.lexsort((delivered.order[rows], delivered.received[rows]))]
    return delivered.take(in_order), delivered.take(np.flatnonzero(~ready))


class _Planted:
    """What was planted, held until its time has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Planted]] = []
        self._count = itertools.count()

    def add(self, planted: list[Planted]) -> None:
        for item in planted:
            heapq.heappush(self._heap, (item.begin, next(self._count), item))

    def until(self, end: int | None) -> tuple[Planted, ...]:
        due = []
        while self._heap and (end is None or self._heap[0][0] < end):
            due.append(heapq.heappop(self._heap)[2])
        return tuple(due)


def _slabs(plan: Plan) -> Iterator[tuple[int, list[Drawn], list[Delivered]]]:
    """Step by step: the end of a stretch of time and the events drawn for it."""
    for phase in plan.phases():
        streams = _streams(plan, phase.rate)
        step = max(1, int(_SLAB_EVENTS / phase.rate)) * SECOND
        begin = phase.begin
        while phase.end is None or begin < phase.end:
            stop = begin + step if phase.end is None else min(begin + step, phase.end)
            drawn = [stream.between(begin, stop) for stream in streams]
            pairs = zip(streams, drawn, strict=True)
            delivered = [deliver(d, s.draws, nth, can_be_late=s.can_be_late) for nth, (s, d) in enumerate(pairs)]
            yield stop, drawn, delivered
            begin = stop


def _streams(plan: Plan, rate: float) -> list[Stream]:
    """The streams of a world, sharing its rate among them."""
    rates = _shares(plan.world, rate)
    fleet = Fleet(
        cameras=CameraEvents.devices_at(rates[CameraEvents]) if CameraEvents in rates else 0,
        readers=min(READERS, round(rates.get(PlateReads, 0) * 0.75)),
        drones=DronePositions.devices_at(rates[DronePositions]) if DronePositions in rates else 0,
    )
    if Violations in rates:
        rates[Corrections] = rates[Violations]
    return [_stream(kind, plan, rate, fleet) for kind, rate in rates.items()]


def _shares(world: str, rate: float) -> dict[type[Stream], float]:
    """The rate of each stream of a world."""
    kinds = WORLDS[world]
    whole = sum(kind.share for kind in kinds)
    return {kind: rate * kind.share / whole for kind in kinds}


def _stream(kind: type[Stream], plan: Plan, rate: float, fleet: Fleet) -> Stream:
    if issubclass(kind, DeviceStatus):
        return kind(plan.seed, rate, fleet)
    if issubclass(kind, Violations):
        return kind(plan.seed, rate, plan.pictures, Violations.devices_at(_shares(plan.world, plan.rate)[Violations]))
    return kind(plan.seed, rate)


class _Incidents:
    """What is played beside the streams, when its first event is due."""

    def __init__(self, plan: Plan) -> None:
        self._end = plan.end
        self._due = played(plan.world, plan.seed, plan.phases(), pictures=plan.pictures > 0)
        self._next = next(self._due, None)
        self._count = itertools.count()

    def until(self, end: int) -> tuple[list[Delivered], list[Planted]]:
        """All that begins before `end`, but for what would not be over at the end of the plan."""
        lines, planted = [], []
        while self._next is not None and self._next.begin < end:
            delivered = self._deliver(self._next)
            if self._end is None or self._next.end <= self._end:
                lines.append(delivered)
                planted += self._next.planted
            self._next = next(self._due, None)
        return lines, planted

    def _deliver(self, occurrence: Occurrence) -> Delivered:
        events = occurrence.events
        numbers = np.array([next(self._count) for _ in events], np.int64)
        at = np.array([time for time, _ in events], np.int64) + 100_000 + numbers * 7919 % 600_000
        lines = received(pa.array([body for _, body in events], pa.string()), at)
        return Delivered(at, (_INCIDENTS_STREAM << 58) | numbers, lines)
