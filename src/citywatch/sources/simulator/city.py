"""The city as a sequence of batches of lines, in the order in which they are received."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from citywatch.settings import HOUR, SECOND
from citywatch.sources.simulator.cctv import CameraEvents, PersonReports
from citywatch.sources.simulator.delivery import Delivered, deliver, nothing, together
from citywatch.sources.simulator.draws import Integers
from citywatch.sources.simulator.drones import Corrections, DronePositions, Images, Violations
from citywatch.sources.simulator.scenes import CYCLE, SCENES, Occurrence, Scene
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
HISTORY_CYCLE = 12 * HOUR
_SLAB_EVENTS = 20_000
_SCENES_STREAM = 31
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines in the order of their receipt (µs), and what was planted up to the last of them."""

    received: Integers
    lines: Text
    planted: tuple[Planted, ...]


def batches(plan: Plan) -> Iterator[Batch]:
    """All lines of a plan, some seconds or minutes of simulated time at once; the same whatever is done with them."""
    waiting, planted = nothing(), _Planted()
    scenes = _Scenes(plan)
    for end, drawn, delivered in _slabs(plan):
        planted.add([item for d in drawn for item in d.planted])
        lines, expected = scenes.until(end)
        planted.add(expected)
        ready, waiting = _until(together([waiting, *delivered, *lines]), end)
        yield Batch(ready.received, ready.lines, planted.until(end))
    rest, _ = _until(waiting, None)
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


def _until(delivered: Delivered, end: int | None) -> tuple[Delivered, Delivered]:
    """What is received before `end`, in order, and the rest."""
    ready = np.ones(len(delivered.order), bool) if end is None else delivered.received < end
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
            heapq.heappush(self._heap, (item.time, next(self._count), item))

    def until(self, end: int | None) -> tuple[Planted, ...]:
        due = []
        while self._heap and (end is None or self._heap[0][0] < end):
            due.append(heapq.heappop(self._heap)[2])
        return tuple(due)


def _slabs(plan: Plan) -> Iterator[tuple[int, list[Drawn], list[Delivered]]]:
    """Step by step: the end of a stretch of time and the events drawn for it."""
    if plan.history:
        yield from _phase(plan, min(HISTORY_RATE, plan.rate), plan.start - plan.history, plan.start)
    yield from _phase(plan, plan.rate, plan.start, None if plan.duration is None else plan.start + plan.duration)


def _phase(plan: Plan, rate: float, begin: int, end: int | None) -> Iterator[tuple[int, list[Drawn], list[Delivered]]]:
    streams = _streams(plan.world, plan.seed, rate)
    step = max(1, int(_SLAB_EVENTS / rate)) * SECOND
    while end is None or begin < end:
        stop = begin + step if end is None else min(begin + step, end)
        drawn = [stream.between(begin, stop) for stream in streams]
        pairs = zip(streams, drawn, strict=True)
        delivered = [deliver(d, s.draws, nth, can_be_late=s.can_be_late) for nth, (s, d) in enumerate(pairs)]
        yield stop, drawn, delivered
        begin = stop


def _streams(world: str, seed: int, rate: float) -> list[Stream]:
    """The streams of a world, sharing its rate among them."""
    kinds = WORLDS[world]
    whole = sum(kind.share for kind in kinds)
    rates = {kind: rate * kind.share / whole for kind in kinds}
    fleet = Fleet(
        cameras=CameraEvents.devices_at(rates[CameraEvents]) if CameraEvents in rates else 0,
        readers=min(READERS, round(rates.get(PlateReads, 0) * 0.75)),
        drones=DronePositions.devices_at(rates[DronePositions]) if DronePositions in rates else 0,
    )
    streams = [DeviceStatus(seed, r, fleet) if kind is DeviceStatus else kind(seed, r) for kind, r in rates.items()]
    if Violations in rates:
        streams.append(Corrections(seed, rates[Violations]))
    return streams


@dataclass(frozen=True, slots=True)
class _Turn:
    """A scene that is due: the time of its first event, and of its match."""

    first: int
    scene: Scene
    at: int
    turn: int
    mark: str


class _Scenes:
    """The planned incidents of a plan, played when their first event is due."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._end = None if plan.duration is None else plan.start + plan.duration
        scenes = [scene for scene in SCENES if plan.world in scene.worlds]
        begin, spacing = plan.start - plan.history, HISTORY_CYCLE // len(SCENES)
        turns = [self._turns(scene, plan.start + scene.offset, CYCLE, self._end, "") for scene in scenes]
        if plan.history:
            first = {scene: begin + spacing // 2 + nth * spacing for nth, scene in enumerate(SCENES)}
            turns += [self._turns(scene, first[scene], HISTORY_CYCLE, plan.start, "h") for scene in scenes]
        self._due = heapq.merge(*turns, key=lambda turn: turn.first)
        self._next = next(self._due, None)

    def until(self, end: int) -> tuple[list[Delivered], list[Planted]]:
        """What is to be played because its first event comes before `end`."""
        lines, planted = [], []
        while self._next is not None and self._next.first < end:
            delivered, expected = self._play(self._next)
            lines.append(delivered)
            planted.append(expected)
            self._next = next(self._due, None)
        return lines, planted

    def _turns(self, scene: Scene, at: int, cycle: int, end: int | None, mark: str) -> Iterator[_Turn]:
        begin = self._plan.start - self._plan.history
        for turn in itertools.count():
            due = (at + turn * cycle) // 1000 * 1000
            if end is not None and due >= end:
                return
            if due - scene.lead >= begin:
                yield _Turn(due - scene.lead, scene, due, turn, mark)

    def _play(self, turn: _Turn) -> tuple[Delivered, Planted]:
        occurrence = Occurrence(turn.scene.kind, turn.at, turn.turn, f"{turn.mark}{self._plan.seed}")
        planted = turn.scene.play(occurrence)
        events = [(time, body) for time, body in occurrence.events if self._end is None or time < self._end]
        numbers = (turn.at // 1000 << 8) + np.arange(len(events)) if events else np.empty(0, np.int64)
        at = np.array([time for time, _ in events], np.int64) + 100_000 + numbers * 7919 % 600_000
        order = (_SCENES_STREAM << 58) | (SCENES.index(turn.scene) << 53) | numbers
        return Delivered(at, order, received(pa.array([body for _, body in events], pa.string()), at)), planted
