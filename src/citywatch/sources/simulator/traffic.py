"""Vehicles that pass plate readers, and parking tickets.

A vehicle drives through the streets for half an hour, past some readers, and the same way at that time of every day. No
plate is ever in two places at once, too fast, or on two kinds of vehicle, unless that is planned.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from citywatch.settings import DAY, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Draws, Integers
from citywatch.sources.simulator.stream import Drawn, Steady, Stream
from citywatch.sources.simulator.streets import DRIVE, DRIVES, drives
from citywatch.sources.simulator.text import Piece, Text, decimal, event, join, look_up, padded, product, table, whole

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_LETTERS = _LETTERS[:18]  # S to Z are for violations and for what is planned
_PLATES = len(_FIRST_LETTERS) * 26 * 26 * 10_000
_SCATTER = 75_202_369  # prime to the number of plates, a golden part of it: neighbours get plates far apart

MAKES = ("Toyota", "Honda", "Ford", "Nissan", "Chevrolet", "Hyundai", "Jeep", "BMW", "Subaru", "Kia", "Tesla", "Isuzu")
_MAKE_WEIGHTS = (18.0, 16.0, 13.0, 11.0, 9.0, 7.0, 6.0, 5.0, 5.0, 5.0, 3.0, 2.0)
BODIES = ("sedan", "suv", "van", "pickup", "truck", "taxi")
BODY_WEIGHTS = (42.0, 34.0, 9.0, 5.0, 5.0, 5.0)
COLORS = ("black", "white", "gray", "silver", "blue", "red", "green", "yellow")
COLOR_WEIGHTS = (26.0, 23.0, 19.0, 12.0, 9.0, 6.0, 2.0, 3.0)
_STATES = ("NY", "NJ", "PA", "CT", "FL", "MA")
_STATE_WEIGHTS = (78.0, 10.0, 4.0, 4.0, 2.0, 2.0)

CODES = (21, 36, 38, 14, 20, 46, 37, 71, 40, 7, 19, 84)
"""Codes of the city's offences, most frequent first."""
CODE_WEIGHTS = (17.0, 16.0, 13.0, 11.0, 9.0, 7.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)


@cache
def _plate_heads() -> Text:
    letters = table(list(_LETTERS))
    return product(table(list(_FIRST_LETTERS)), letters, letters)


def plates(vehicles: Integers) -> Text:
    """The plate of each vehicle; all different for the first 121 million."""
    scattered = vehicles % _PLATES * _SCATTER % _PLATES
    return join([look_up(_plate_heads(), scattered // 10_000), look_up(padded(4), scattered % 10_000)])


@cache
def choice_json(member: str, values: tuple[str | int, ...]) -> Text:
    """`"member":value` for each of the values."""
    return table([f'"{member}":"{v}"' if isinstance(v, str) else f'"{member}":{v}' for v in values])


def vehicle_json(draws: Draws, vehicles: Integers) -> list[Piece]:
    """Pieces of what a plate belongs to: always the same for a vehicle."""
    make = look_up(choice_json("vehicle_make", MAKES), draws.chosen(vehicles, _MAKE_WEIGHTS, "make"))
    body = look_up(choice_json("vehicle_body", BODIES), draws.chosen(vehicles, BODY_WEIGHTS, "body"))
    color = look_up(choice_json("vehicle_color", COLORS), draws.chosen(vehicles, COLOR_WEIGHTS, "color"))
    state = look_up(choice_json("plate_state", _STATES), draws.chosen(vehicles, _STATE_WEIGHTS, "state"))
    year = whole(2005 + draws.below(vehicles, 21, "year"))
    return [state, ",", make, ",", body, ",", color, ',"vehicle_year":', year]


_OF_A_DRIVE = 2**7
"""Bound of the number of readers that are passed on a drive."""

READERS = geography.ANPR_ROWS * geography.ANPR_COLUMNS


@cache
def _readers() -> tuple[Text, Text]:
    """Source, and the members that say which reader it is and where it stands, of each plate reader."""
    names = [f"anpr-{camera:04d}" for camera in range(READERS)]
    places = geography.position_json().take(pa.array([geography.anpr_place(camera) for camera in range(READERS)]))
    members = join([table([f'"device_id":"{name}","device_kind":"camera",' for name in names]), places])
    return table([f"camera/{name}" for name in names]), members


class PlateReads(Stream):
    """`anpr.read`: plates that readers see.

    Departure n happens at (n + something in [0, 1)) / `departures` seconds since 1970, on drive n modulo `DRIVES`.
    """

    name = "plates"
    share = 0.40

    def __init__(self, seed: int, rate: float) -> None:
        super().__init__(seed, rate)
        self.drives = drives(seed)
        self.departures = rate / self.drives.passes_a_drive
        daily = min(self.departures * DAY / SECOND, _PLATES)
        self.vehicles = max(1, int(daily / DRIVES)) * DRIVES
        """How many there are: each departs about once a day, and takes the same drive."""

    def between(self, begin: int, end: int) -> Drawn:
        """The passes with begin <= time < end."""
        drive, offset = np.divmod(self.drives.keys, DRIVE)
        step = SECOND / self.departures
        low = np.floor(((begin - offset) / step - 1 - drive) / DRIVES).astype(np.int64)
        counts = np.floor(((end - offset) / step - drive) / DRIVES).astype(np.int64) - low + 1
        passes = np.repeat(np.arange(len(low)), counts)
        turn = np.arange(len(passes)) - np.repeat(np.cumsum(counts) - counts, counts)
        departure = (low[passes] + turn) * DRIVES + drive[passes]
        times = ((departure + self.draws.unit(departure, "time")) * step).astype(np.int64) + offset[passes]
        inside = (times >= begin) & (times < end)
        return self._read(departure[inside], times[inside], passes[inside])

    def _read(self, departure: Integers, times: Integers, passes: Integers) -> Drawn:
        numbers = departure * _OF_A_DRIVE + passes - self.drives.first[departure % DRIVES]
        vehicles = departure % self.vehicles
        sources, places = _readers()
        reader = self.drives.reader[passes]
        plate = plates(vehicles)
        doubtful = self.draws.unit(numbers, "doubtful") < 0.05
        confidence = np.where(doubtful, 500, 900) + self.draws.below(numbers, 100, "confidence")
        data = [
            '"plate":"', plate, '","plate_confidence":', *decimal(confidence, 3), ",", *vehicle_json(self.draws,
            vehicles),
            ',"speed_kmh":', whole(self.drives.kmh[passes]), ",", look_up(places, reader),
        ]  # fmt: skip
        bodies = event(
            "anpr.read", id_=self.ids(numbers), source=look_up(sources, reader), subject=plate, times=times, data=data
        )
        return Drawn(numbers, times, bodies)


class Tickets(Steady):
    """`ticket.issued`: parking tickets that agents write, each for another vehicle: three for one are planned."""

    name = "tickets"
    share = 0.02
    period = 600
    can_be_late = False

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        agent = numbers % self.devices
        place = self.draws.below(numbers, geography.CROSSINGS, "place")
        code = look_up(choice_json("violation_code", CODES), self.draws.chosen(numbers, CODE_WEIGHTS, "code"))
        source = join(["agent/", whole(agent)])
        data = [
            '"summons_number":"', *self.ids(numbers), '","plate":"', plates(numbers), '",',
            *vehicle_json(self.draws, numbers),
            ",", code, ',"issuer_agency":"T","device_id":"agent-', whole(agent), '","device_kind":"desk",',
            look_up(geography.position_json(), place),
        ]  # fmt: skip
        bodies = event(
            "ticket.issued",
            id_=self.ids(numbers),
            source=source,
            subject=join(self.ids(numbers)),
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)
