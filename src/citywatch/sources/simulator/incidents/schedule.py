"""When what happens in the city: each incident and each near miss once in a cycle, at times drawn from the seed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator.draws import Draws
from citywatch.sources.simulator.incidents import devices, near_misses, persons, vehicles
from citywatch.sources.simulator.incidents.occurrence import Occurrence

CYCLE = 10 * MINUTE
"""Everything is played once in this time, where there are events enough to hide it among."""
_BUSY = 20.0
"""Events a second; with fewer the cycle is longer in proportion."""
_DRIFT = 0.5
"""Of a cycle: how much later than its turn something may begin."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that is played, when it first begins, and in which worlds."""

    play: Callable[[Occurrence], None]
    offset: int
    """From the start to the first beginning, µs; it may begin before the start where there is a history."""
    worlds: frozenset[str]

    @property
    def kind(self) -> str:
        """Name of the scene; of an incident also that of the rule that has to find it."""
        return self.play.__name__


def _scene(play: Callable[[Occurrence], None], offset: int, *worlds: str) -> Scene:
    return Scene(play, offset * SECOND, frozenset(("city", *worlds)))


# Who watches the first minute sees one kind after the other. Silence and the like are known a minute after their time.
INCIDENTS: tuple[Scene, ...] = (
    _scene(devices.needs_human, 3, "drones"),
    _scene(vehicles.stolen_plate, 6, "cctv"),
    _scene(devices.camera_tampered, 10, "cctv"),
    _scene(persons.gunfire, 14, "sensors"),
    _scene(vehicles.wrong_way, 18, "cctv"),
    _scene(persons.wanted_person, 22, "cctv"),
    _scene(vehicles.street_race, 26, "cctv"),
    _scene(persons.shots_and_flight, 20),
    _scene(vehicles.speeding_at_school, 34, "cctv"),
    _scene(vehicles.way_to_school_blocked, 38),
    _scene(persons.reconnaissance, 6, "cctv"),
    _scene(persons.bag_in_crowd, 22),
    _scene(vehicles.repeat_offender, 6, "drones"),
    _scene(vehicles.cloned_plate, 10, "cctv"),
    _scene(vehicles.average_speed, 2, "cctv"),
    _scene(devices.camera_frozen, -10, "cctv"),
    _scene(persons.seen_on_many_cameras, -600, "cctv"),
    _scene(vehicles.ticketed_again, -900),
    _scene(devices.device_overheats, -240, "drones"),
    _scene(devices.new_device_fault, -20, "drones"),
    _scene(vehicles.plate_swapped, -70, "cctv"),
    _scene(devices.image_missing, -140, "drones"),
    _scene(persons.crowd_surge, -330, "cctv"),
    _scene(persons.bag_left, -190, "cctv"),
    _scene(vehicles.standing_at_school, -300, "cctv"),
    _scene(devices.drone_lost, -330, "drones"),
    _scene(devices.camera_silent, -440, "cctv"),
    _scene(devices.battery_not_changed, -420, "drones"),
    _scene(devices.sensor_stuck, -1140, "sensors"),
)

NEAR_MISSES: tuple[Scene, ...] = tuple(
    _scene(play, 11 + 13 * nth, *worlds)
    for nth, (play, worlds) in enumerate(
        (
            (near_misses.plate_misread, ["cctv"]),
            (near_misses.make_misread, ["cctv"]),
            (near_misses.fireworks, ["sensors"]),
            (near_misses.marathon, ["cctv"]),
            (near_misses.letting_somebody_out, ["cctv"]),
            (near_misses.brisk_drive, ["cctv"]),
            (near_misses.lone_speeder, ["cctv"]),
            (near_misses.two_tickets, []),
            (near_misses.two_violations, ["drones"]),
            (near_misses.staff, ["cctv"]),
            (near_misses.luggage, []),
            (near_misses.tourist, ["cctv"]),
            (near_misses.end_of_work, ["cctv"]),
            (near_misses.battery_changed_late, ["drones"]),
            (near_misses.landing, ["drones"]),
            (near_misses.summer_heat, ["drones"]),
            (near_misses.notice, ["drones"]),
            (near_misses.wind, ["cctv"]),
            (near_misses.still_life, ["cctv"]),
            (near_misses.calm, ["sensors"]),
        )
    )
)

SCENES = INCIDENTS + NEAR_MISSES


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a simulation. Times in µs; `mark` tells its occurrences from those of other phases."""

    begin: int
    end: int | None
    rate: float
    mark: str = ""


def cycle(rate: float) -> int:
    """µs in which everything is played once."""
    return int(CYCLE * max(1.0, _BUSY / rate))


@dataclass(frozen=True, order=True, slots=True)
class _Turn:
    begin: int
    nth: int
    """The number of the scene settles ties."""
    turn: int
    mark: str


def played(world: str, seed: int, phases: list[Phase], *, pictures: bool) -> Iterator[Occurrence]:
    """What is played in a world, in the order in which it begins; the last phase is the one that people look at."""
    scenes = [scene for scene in SCENES if world in scene.worlds]
    for due in heapq.merge(*(_turns(scenes, nth, seed, phases) for nth in range(len(scenes)))):
        scene = scenes[due.nth]
        occurrence = Occurrence(scene.kind, due.begin, due.turn, f"{due.mark}{seed}", pictures)
        scene.play(occurrence)
        yield occurrence


def _turns(scenes: list[Scene], nth: int, seed: int, phases: list[Phase]) -> Iterator[_Turn]:
    """All turns of the nth scene: through the history evenly among the others, then from its offset on."""
    scene, (*before, shown) = scenes[nth], phases
    first = shown.begin + scene.offset
    for phase in before:
        share = cycle(phase.rate) * nth // len(scenes)
        for turn in _in_phase(scene, phase, seed, phase.begin + share):
            if turn[0] >= min(shown.begin, first):
                break
            yield _Turn(turn[0], nth, turn[1], phase.mark)
    for begin, number in _in_phase(scene, shown, seed, first):
        if begin >= phases[0].begin:
            yield _Turn(begin, nth, number, shown.mark)


def _in_phase(scene: Scene, phase: Phase, seed: int, first: int) -> Iterator[tuple[int, int]]:
    """Beginning and number of each turn before the end of the phase."""
    draws, length = Draws(seed, f"{phase.mark}{scene.kind}"), cycle(phase.rate)
    for turn in itertools.count():
        drift = draws.unit(np.array([turn]), "drift")[0] * _DRIFT if turn else 0
        begin = (first + int((turn + drift) * length)) // 1000 * 1000
        if phase.end is not None and begin >= phase.end:
            return
        yield begin, turn
