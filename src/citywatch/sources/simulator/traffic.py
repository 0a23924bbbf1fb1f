"""Vehicles that pass plate readers, and parking tickets.

A vehicle drives up and down one street or avenue for half an hour, past a reader every two minutes, and the same at
that time of every day. No plate is ever in two places at once, or on two kinds of vehicle, unless that is planned.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Draws, Integers
from citywatch.sources.simulator.stream import Drawn, Stream
from citywatch.sources.simulator.text import Piece, Text, decimal, event, join, look_up, padded, product, table, whole

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_LETTERS = _LETTERS[:18]  # S to Z are for violations and for what is planned
_PLATES = len(_FIRST_LETTERS) * 26 * 26 * 10_000
_SCATTER = 48_271  # prime to the number of plates: neighbours in number get plates far apart

MAKES = ("Toyota", "Honda", "Ford", "Nissan", "Chevrolet", "Hyundai", "Jeep", "BMW", "Subaru", "Kia", "Tesla", "Isuzu")
_MAKE_WEIGHTS = (18.0, 16.0, 13.0, 11.0, 9.0, 7.0, 6.0, 5.0, 5.0, 5.0, 3.0, 2.0)
_BODIES = ("sedan", "suv", "van", "pickup", "truck", "taxi")
_BODY_WEIGHTS = (42.0, 34.0, 9.0, 5.0, 5.0, 5.0)
_COLORS = ("black", "white", "gray", "silver", "blue", "red", "green", "yellow")
_COLOR_WEIGHTS = (26.0, 23.0, 19.0, 12.0, 9.0, 6.0, 2.0, 3.0)
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
    body = look_up(choice_json("vehicle_body", _BODIES), draws.chosen(vehicles, _BODY_WEIGHTS, "body"))
    color = look_up(choice_json("vehicle_color", _COLORS), draws.chosen(vehicles, _COLOR_WEIGHTS, "color"))
    state = look_up(choice_json("plate_state", _STATES), draws.chosen(vehicles, _STATE_WEIGHTS, "state"))
    year = whole(2005 + draws.below(vehicles, 21, "year"))
    return [state, ",", make, ",", body, ",", color, ',"vehicle_year":', year]


READERS = geography.ANPR_ROWS * geography.ANPR_COLUMNS


@cache
def _readers() -> tuple[Text, Text]:
    """Source, and the members that say which reader it is and where it stands, of each plate reader."""
    names = [f"anpr-{camera:04d}" for camera in range(READERS)]
    places = geography.position_json().take(pa.array([geography.anpr_place(camera) for camera in range(READERS)]))
    members = join([table([f'"device_id":"{name}","device_kind":"camera",' for name in names]), places])
    return table([f"camera/{name}" for name in names]), members


def reader_of(draws: Draws, vehicles: Integers, legs: Integers) -> Integers:
    """The plate reader that a vehicle passes on its n-th leg: up and down one line of the grid."""
    line = draws.below(vehicles, geography.ANPR_ROWS + geography.ANPR_COLUMNS, "line")
    along_street = line < geography.ANPR_ROWS
    length = np.where(along_street, geography.ANPR_COLUMNS, geography.ANPR_ROWS)
    there_and_back = 2 * (length - 1)
    step = (legs + draws.below(vehicles, 64, "start")) % there_and_back
    at = np.minimum(step, there_and_back - step)
    column = line - geography.ANPR_ROWS
    readers: Integers = np.where(along_street, line * geography.ANPR_COLUMNS + at, at * geography.ANPR_COLUMNS + column)
    return readers


class PlateReads(Stream):
    """`anpr.read`: plates that readers see."""

    name = "plates"
    share = 0.40
    period = 120

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        slot, leg = numbers % self.devices, numbers // self.devices
        vehicles = slot * 48 + times // (30 * MINUTE) % 48
        reader = reader_of(self.draws, vehicles, leg)
        times = times + self.draws.below(numbers, 4 * SECOND, "traffic")
        sources, places = _readers()
        plate = plates(vehicles)
        doubtful = self.draws.unit(numbers, "doubtful") < 0.05
        confidence = np.where(doubtful, 500, 900) + self.draws.below(numbers, 100, "confidence")
        speed = 25 + self.draws.below(numbers, 36, "speed")
        data = [
            '"plate":"', plate, '","plate_confidence":', *decimal(confidence, 3), ",", *vehicle_json(self.draws,
            vehicles),
            ',"speed_kmh":', whole(speed), ",", look_up(places, reader),
        ]  # fmt: skip
        bodies = event(
            "anpr.read", id_=self.ids(numbers), source=look_up(sources, reader), subject=plate, times=times, data=data
        )
        return Drawn(numbers, times, bodies)


class Tickets(Stream):
    """`ticket.issued`: parking tickets that agents write."""

    name = "tickets"
    share = 0.02
    period = 600
    can_be_late = False

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        agent = numbers % self.devices
        vehicles = self.draws.below(numbers, 2_000_000, "vehicle")
        place = self.draws.below(numbers, geography.CROSSINGS, "place")
        code = look_up(choice_json("violation_code", CODES), self.draws.chosen(numbers, CODE_WEIGHTS, "code"))
        source = join(["agent/", whole(agent)])
        data = [
            '"summons_number":"', *self.ids(numbers), '","plate":"', plates(vehicles), '",',
            *vehicle_json(self.draws, vehicles),
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
