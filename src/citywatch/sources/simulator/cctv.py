"""Cameras: what they detect, and reports of what people do in front of them."""

from __future__ import annotations

from functools import cache

import numpy as np

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.behavior import frequencies, names
from citywatch.sources.simulator.draws import Floats, Integers
from citywatch.sources.simulator.stream import Drawn, Steady
from citywatch.sources.simulator.text import Piece, Text, decimal, event, join, look_up, padded, table, uuid, whole

_STEP = 571

_LABELS = ("motion", "person_detected", "vehicle_detected")
_LABEL_WEIGHTS = (50.0, 30.0, 20.0)

FIRST_NAMES = (
    "Ada Alan Alma Amir Anna Ben Carla Chen Dana David Diego Elena Emma Eric Fatima Felix Grace Hana Hugo Ines Ivan "
    "Jack Jana Jose Julia Kamal Karin Leo Lina Lucas Maria Mark Mia Nadia Noah Olga Omar Paula Rosa Sam"
).split()
LAST_NAMES = (
    "Abel Adams Ali Baker Bauer Brown Chan Clark Cohen Costa Cruz Davis Diaz Evans Fischer Garcia Green Hall Haas Ito "
    "Jones Khan Kim King Klein Lee Lopez Martin Meyer Moore Nguyen Novak Park Patel Reed Rossi Silva Smith Tran Wong"
).split()
_GENDERS = ("female", "male")


def camera_place(cameras: Integers) -> Integers:
    """The crossing at which each camera stands."""
    return geography.spread(cameras, _STEP).astype(np.int64)


def camera_json(cameras: Integers) -> list[Piece]:
    """Pieces of which camera it is and where it stands."""
    place = look_up(geography.position_json(), camera_place(cameras))
    return ['"device_id":"', *camera_name(cameras), '","device_kind":"camera",', place]


def camera_name(cameras: Integers) -> list[Piece]:
    """Pieces of the cameras' ids."""
    return ["cctv-", look_up(padded(4), cameras) if cameras.max(initial=0) < 10_000 else whole(cameras)]


class CameraEvents(Steady):
    """`camera.event`: motion, persons, vehicles."""

    name = "cameras"
    share = 0.14
    period = 15

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        camera = numbers % self.devices
        label = look_up(table(_LABELS), self.draws.chosen(numbers, _LABEL_WEIGHTS, "label"))
        confidence = 550 + self.draws.below(numbers, 450, "confidence")
        severity = whole(1 + self.draws.below(numbers, 3, "severity"))
        name = camera_name(camera)
        data = [
            '"label":"', label, '","confidence":', *decimal(confidence, 3), ',"severity":', severity,
            ',"image_id":"', *self.ids(numbers, "c"), '",', *camera_json(camera),
        ]  # fmt: skip
        bodies = event(
            "camera.event",
            id_=self.ids(numbers),
            source=join(["camera/", *name]),
            subject=join(name),
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)


class PersonReports(Steady):
    """`person.report`: three behaviours of a person; the scores are for who reads it."""

    name = "persons"
    share = 0.03
    period = 70

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        camera = numbers % self.devices
        # Some people pass the same camera again and again, most only now and then.
        person = camera * 400 + (self.draws.unit(numbers, "person") ** 2 * 400).astype(np.int64)
        behaviors = self._behaviors(numbers, frequencies(camera_place(camera), times))
        x, y = plane(camera_place(camera))
        age = 16 + self.draws.below(person, 65, "age")
        id_ = join(uuid(self.draws.bits(person, "id"), self.draws.bits(person, "id, rest")))
        data = [
            '"person_id":"', id_, '",', *self._person_json(person), ',"age":', whole(age),
            ',"behaviors":[', _behavior_texts(behaviors), '],"x":',
            *decimal(np.rint(x * 10).astype(np.int64), 1), ',"y":',
            *decimal(np.rint(y * 10).astype(np.int64), 1),
            ",", *camera_json(camera),
        ]  # fmt: skip
        bodies = event(
            "person.report",
            id_=self.ids(numbers),
            source=join(["camera/", *camera_name(camera)]),
            subject=id_,
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)

    def _behaviors(self, numbers: Integers, weights: Floats) -> Integers:
        """Three different behaviours for each number, shape (3, n): the smallest of exponential draws by weight."""
        chances = np.stack([self.draws.unit(numbers, f"behavior {i}") for i in range(len(weights))])
        with np.errstate(divide="ignore", invalid="ignore"):
            waits = -np.log1p(-chances) / weights
        waits[weights == 0] = np.inf
        return np.argpartition(waits, 3, axis=0)[:3]

    def _person_json(self, person: Integers) -> list[Piece]:
        first = look_up(table(FIRST_NAMES), self.draws.below(person, len(FIRST_NAMES), "first name"))
        last = look_up(table(LAST_NAMES), self.draws.below(person, len(LAST_NAMES), "last name"))
        gender = look_up(table(_GENDERS), self.draws.below(person, 2, "gender"))
        phone = look_up(padded(4), self.draws.below(person, 10_000, "phone"))
        return [
            '"first_name":"', first, '","last_name":"', last, '","gender":"', gender, '","phone":"+1-212-555-', phone,
            '","picture":"https://pictures.invalid/', whole(person), '.jpg"',
        ]  # fmt: skip


def plane(places: Integers) -> tuple[Floats, Floats]:
    """Places on the older watcher's plane of 1..100, to one decimal."""
    east = places % geography.AVENUES / (geography.AVENUES - 1)
    north = places // geography.AVENUES / (geography.STREETS - 1)
    return np.round(1 + 99 * east, 1), np.round(1 + 99 * north, 1)


@cache
def _pairs() -> Text:
    return table([f'"{a}","{b}",' for a in names() for b in names()])


@cache
def _singles() -> Text:
    return table([f'"{name}"' for name in names()])


def _behavior_texts(behaviors: Integers) -> Text:
    first, second, third = behaviors
    return join([look_up(_pairs(), first * len(names()) + second), look_up(_singles(), third)])
