"""Drones: where they are, the violations they see, the images they send apart, and what operators correct."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Floats, Integers
from citywatch.sources.simulator.local import by_day
from citywatch.sources.simulator.pictures import Picture, Shot, hard, picture
from citywatch.sources.simulator.stream import Drawn, Planted, Steady
from citywatch.sources.simulator.text import Piece, Text, decimal, event, join, look_up, product, table, whole
from citywatch.sources.simulator.traffic import (
    BODIES,
    BODY_WEIGHTS,
    CODE_WEIGHTS,
    CODES,
    COLOR_WEIGHTS,
    COLORS,
    choice_json,
)

_STEP = 433
_CHARGE = 40 * MINUTE
"""A battery lasts so long, then it is changed."""
_TRIPLES = 36**3
_SCATTER = 1_345_325_483  # prime to 36**6, a golden part of it: neighbours in number get plates far apart
HUMAN_SHARE = 0.01
"""Of all violations: those that the drone cannot qualify."""


def flight(drones: Integers, times: Integers) -> tuple[Integers, Integers]:
    """Latitude and longitude in 100,000ths of a degree: circles round each drone's home, at most 42 km/h."""
    start, away = home(drones), radius(drones)
    angle = 2 * np.pi * ((times / SECOND / round_seconds(drones) + drones * 0.618) % 1)
    lat = (geography.SOUTH + start // geography.AVENUES * geography.STREET_STEP) * 100 + away * np.cos(angle)
    lon = (geography.WEST + start % geography.AVENUES * geography.AVENUE_STEP) * 100 + away * 1.3 * np.sin(angle)
    return np.rint(lat).astype(np.int64), np.rint(lon).astype(np.int64)


def radius(drones: Integers) -> Integers:
    """Of a drone's circle, 100,000ths of a degree of latitude: about 1.1 m."""
    return 300 + drones * 37 % 500


def round_seconds(drones: Integers) -> Integers:
    """Seconds that a drone takes for its circle."""
    return 480 + drones * 53 % 420


def speed(drones: Integers) -> Floats:
    """km/h on the circle."""
    return 2 * np.pi * radius(drones) * 1.1 / round_seconds(drones) * 3.6


def batteries_used(drones: Integers, times: Integers) -> Floats:
    """How many batteries a drone has used up since 1970."""
    return times / _CHARGE + drones * 0.382


def charge(drones: Integers, times: Integers) -> Floats:
    """Percent: falls from 100 to 8, then the battery is changed."""
    return 100 - 92 * (batteries_used(drones, times) % 1)


def home(drones: Integers) -> Integers:
    """The crossing that a drone starts from."""
    return geography.spread(drones, _STEP).astype(np.int64)


def place_json(drones: Integers, times: Integers) -> list[Piece]:
    """Pieces of where drones are, with the address of the nearest crossing."""
    lat, lon = flight(drones, times)
    words = look_up(geography.words_json(), geography.nearest(lat, lon))
    return ['"lat":', *decimal(lat, 5), ',"lon":-', *decimal(-lon, 5), ",", words]


def source(drones: Integers) -> Text:
    """The sources of drones' events."""
    return join(["drone/", whole(drones)])


class DronePositions(Steady):
    """`drone.position`, with charge, temperature, altitude and speed."""

    name = "positions"
    share = 0.14
    period = 5

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        drone = numbers % self.devices
        battery = np.rint(charge(drone, times) * 10).astype(np.int64)
        temperature = 240 + self.draws.below(numbers, 130, "temperature")
        altitude = 400 + self.draws.below(numbers, 500, "altitude")
        gusts = 0.9 + 0.2 * self.draws.unit(numbers, "speed")
        kmh = np.rint(speed(drone) * gusts * 10).astype(np.int64)
        name = whole(drone)
        data = [
            '"device_id":"', name, '","device_kind":"drone","battery":', *decimal(battery, 1),
            ',"temperature":', *decimal(temperature, 1), ',"altitude":', *decimal(altitude, 1),
            ',"speed_kmh":', *decimal(kmh, 1), ",", *place_json(drone, times),
        ]  # fmt: skip
        bodies = event(
            "drone.position", id_=self.ids(numbers), source=source(drone), subject=name, times=times, data=data
        )
        return Drawn(numbers, times, bodies)


class Violations(Steady):
    """`drone.violation`: one in a hundred has no code and needs a human.

    `pictures` is how many of them a second have a picture, at most; `devices` how many drones see them: in a thin
    history those of the whole city.
    """

    name = "violations"
    share = 0.01
    period = 60
    can_be_late = False

    def __init__(self, seed: int, rate: float, pictures: float, devices: int) -> None:
        super().__init__(seed, rate)
        self._devices = devices
        self._pictured = min(1.0, pictures / rate) if rate else 0.0

    @property
    def devices(self) -> int:
        """How many drones there are."""
        return self._devices

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        drone = numbers % self.devices
        plate = violation_plates(numbers)
        code = look_up(choice_json("violation_code", CODES), self.draws.chosen(numbers, CODE_WEIGHTS, "code"))
        unclear = self.unclear(numbers)
        what = pc.if_else(pa.array(unclear), '"needs_human":true', code)
        body, color = self._looks(numbers)
        data = [
            what, ',"plate":"', plate, '","vehicle_body":"', body, '","vehicle_color":"', color, '","image_id":"',
            self.image_ids(numbers, times), '","device_id":"', whole(drone), '","device_kind":"drone",',
            *place_json(drone, times),
        ]  # fmt: skip
        bodies = event(
            "drone.violation", id_=self.ids(numbers), source=source(drone), subject=plate, times=times, data=data
        )
        return Drawn(numbers, times, bodies, tuple(self._planted(numbers[unclear], times[unclear])))

    def unclear(self, numbers: Integers) -> NDArray[np.bool_]:
        """Which violations need a human."""
        return self.draws.unit(numbers, "human") < HUMAN_SHARE

    def image_ids(self, numbers: Integers, times: Integers) -> Text:
        """Of each violation: the SHA-256 of its picture, or a name where the picture goes another way."""
        ids = np.array(join(self.ids(numbers, "i")).to_pylist(), object)
        pictured, pictures = self.pictures(numbers, times)
        ids[pictured] = [picture.image_id for picture in pictures]
        return table(ids.tolist())

    def pictures(self, numbers: Integers, times: Integers) -> tuple[Integers, list[Picture]]:
        """Rows of the violations that have a picture, and their pictures; `times` are those of the violations."""
        rows = np.flatnonzero(self.draws.unit(numbers, "pictured") < self._pictured)
        numbers, times = numbers[rows], times[rows]
        lat, lon = flight(numbers % self.devices, times)
        streets = [str(geography.words(int(place))["street"]) for place in geography.nearest(lat, lon)]
        looks = [text.to_pylist() for text in (violation_plates(numbers), *self._looks(numbers))]
        light = (by_day(times).tolist(), hard(self.draws, numbers), numbers.tolist())
        return rows, [
            picture(Shot(plate, street, color, body, *rest))
            for plate, body, color, street, *rest in zip(*looks, streets, *light, strict=True)
        ]

    def _looks(self, numbers: Integers) -> tuple[Text, Text]:
        """Body and colour of the vehicle."""
        body = self.draws.chosen(numbers, BODY_WEIGHTS, "body")
        return look_up(table(BODIES), body), look_up(table(COLORS), self.draws.chosen(numbers, COLOR_WEIGHTS, "color"))

    def _planted(self, numbers: Integers, times: Integers) -> list[Planted]:
        places = zip(*flight(numbers % self.devices, times), strict=True)
        planted = []
        for number, time, (lat, lon) in zip(numbers.tolist(), times.tolist(), places, strict=True):
            key = {"source": f"drone/{number % self.devices}", "id": self.id(number)}
            millisecond, named = time - time % 1000, ((key["source"], key["id"]),)
            where = (int(lat) / 100_000, int(lon) / 100_000)
            planted.append(Planted("needs_human", "needs_human", key, millisecond, millisecond, *where, named))
        return planted


class Images(Violations):
    """`violation.image`: the image of each violation, within two seconds after it."""

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        drone = numbers % self.devices
        image, content = self.image_ids(numbers, times), np.full(len(numbers), "", object)
        pictured, pictures = self.pictures(numbers, times)
        content[pictured] = [f'"image":"{picture.text}",' for picture in pictures]
        times = times + 200_000 + self.draws.below(numbers, 1_800_000, "image")
        data = [
            '"image_id":"', image, '",', table(content.tolist()), '"device_id":"', whole(drone),
            '","device_kind":"drone",', *place_json(drone, times),
        ]  # fmt: skip
        bodies = event(
            "violation.image", id_=self.ids(numbers, "i"), source=source(drone), subject=image, times=times, data=data
        )
        return Drawn(numbers, times, bodies)


class Corrections(Violations):
    """`violation.corrected`: an operator answers one in four of the violations that need a human."""

    share = 0.0

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        answered = self.unclear(numbers) & (self.draws.unit(numbers, "answered") < 0.25)
        numbers, times = numbers[answered], times[answered]
        drone = numbers % self.devices
        code = look_up(choice_json("violation_code", CODES), self.draws.chosen(numbers, CODE_WEIGHTS, "answer"))
        times = times + 90 * SECOND + self.draws.below(numbers, 60 * SECOND, "answer time")
        data = ['"corrects_source":"drone/', whole(drone), '","corrects_id":"', *self.ids(numbers), '",', code]
        id_ = self.ids(numbers, "c")
        bodies = event(
            "violation.corrected",
            id_=id_,
            source="desk/operators",
            subject=join(self.ids(numbers)),
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)


@cache
def _triples() -> Text:
    signs = table(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return product(signs, signs, signs)


def violation_plates(numbers: Integers) -> Text:
    """Plates that begin with S, different for two thousand million violations in a row: nobody twice by chance."""
    scattered = numbers % _TRIPLES**2 * _SCATTER % _TRIPLES**2
    return join(["S", look_up(_triples(), scattered // _TRIPLES), look_up(_triples(), scattered % _TRIPLES)])
