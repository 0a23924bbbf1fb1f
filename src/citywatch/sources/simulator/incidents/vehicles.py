"""Incidents with vehicles: stolen, copied, too fast, standing where they must not."""

from __future__ import annotations

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.incidents.occurrence import Occurrence
from citywatch.sources.simulator.local import school_hours
from citywatch.sources.simulator.traffic import MAKES

STOLEN = 60
"""How many plates are on the shipped list of stolen vehicles and driven in the city."""
BLOCKING = (50, 51, 52, 53, 67)
"""Codes of standing on crosswalks, sidewalks, intersections, safety zones and ramps."""


def stolen(number: int) -> str:
    """A plate of the shipped list `stolen`."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return f"T{letters[number * 7 % 26]}{letters[number * 11 % 26]}{1000 + number * 1409 % 9000}"


def stolen_plate(scene: Occurrence) -> None:
    """Readers see a plate that is on the list of stolen vehicles."""
    plate = stolen(scene.nth % STOLEN)
    along_avenue(scene, plate, scene.between(30, 60))
    scene.expect({"plate": plate})


def cloned_plate(scene: Occurrence) -> None:
    """Two vehicles with one plate drive at the same time in the south and in the north of the city."""
    plate, looks, seen = scene.own("V"), scene.vehicle(), []
    columns = scene.chance.sample(range(geography.ANPR_COLUMNS), 2)
    for start, lowest, column in zip((0.0, scene.between(15, 60)), (0, 14), columns, strict=True):
        row = lowest + scene.chance.randrange(4)
        for nth, seconds in enumerate(scene.times(scene.chance.randint(1, 3), 80, 140, start)):
            reader = (row + nth) * geography.ANPR_COLUMNS + column
            seen.append(scene.read(seconds, plate, reader, **looks, speed_kmh=35))
    scene.expect({"plate": plate}, *seen)


def plate_swapped(scene: Occurrence) -> None:
    """A plate moves from one make of vehicle to another; now and then a make is read with little certainty."""
    plate, looks, reader = scene.own("X"), scene.vehicle(), scene.reader()
    before, after = scene.chance.sample(MAKES, 2)
    for nth, seconds in enumerate(scene.times(12, 4, 9)):
        sure = scene.chance.triangular(0.88, 0.995, 0.98)
        vehicle = {**looks, "vehicle_make": before if nth < 6 else after}
        scene.read(seconds, plate, reader, **vehicle, plate_confidence=round(sure, 3))
    scene.expect({"plate": plate})


def standing_at_school(scene: Occurrence) -> None:
    """A vehicle stands in front of a school, read again and again."""
    plate, reader, looks = scene.own("Y"), scene.school_reader(), scene.vehicle()
    for seconds in scene.times(scene.chance.randint(16, 24), 20, 45):
        scene.read(seconds, plate, reader, **looks, speed_kmh=0, plate_confidence=scene.sure(0.75))
    scene.expect({"plate": plate})


def speeding_at_school(scene: Occurrence) -> None:
    """A vehicle passes a school at twice the legal speed and more."""
    plate = scene.own("Z")
    scene.read(0, plate, scene.school_reader(), **scene.vehicle(), speed_kmh=round(scene.between(88, 125)))
    scene.expect({"plate": plate})


def average_speed(scene: Occurrence) -> None:
    """A vehicle races along an avenue and brakes in front of every reader."""
    plate = scene.own("Y")
    avenue = along_avenue(scene, plate, scene.between(105, 150))
    scene.expect({"plate": plate, "street": avenue})


def along_avenue(scene: Occurrence, plate: str, kmh: float) -> str:
    """Past four readers of an avenue without a school, one after the other; the avenue."""
    column = scene.chance.choice([c for c in range(geography.ANPR_COLUMNS) if c not in _SCHOOL_COLUMNS])
    first = scene.chance.randrange(geography.ANPR_ROWS - 4)
    looks, hop = scene.vehicle(), 2 * geography.STREET_STEP * 0.111195 / kmh * 3600
    for nth in range(4):
        reader = (first + nth) * geography.ANPR_COLUMNS + column
        speed = round(scene.between(40, 55))
        scene.read(round(nth * hop, 3), plate, reader, **looks, speed_kmh=speed, plate_confidence=scene.sure(0.93))
    return str(geography.words(2 * column)["street"])


def street_race(scene: Occurrence) -> None:
    """Two to four vehicles pass a reader side by side, far beyond any limit."""
    reader, count = scene.reader(), scene.chance.randint(2, 4)
    for seconds in scene.times(count, 0.6, 2.5):
        speed = round(scene.between(112, 170))
        scene.read(seconds, scene.own("Z"), reader, **scene.vehicle(), speed_kmh=speed)
    scene.expect({"device_id": f"anpr-{reader:04d}"})


def wrong_way(scene: Occurrence) -> None:
    """A camera sees a vehicle come against the direction of the street."""
    camera, place = scene.own("cctv-5"), scene.place()
    for seconds in scene.times(scene.chance.randint(2, 4), 1, 3):
        scene.detection(seconds, "wrong_way", camera, place, severity=4, confidence=scene.sure(0.82))
    scene.expect({"device_id": camera})


def repeat_offender(scene: Occurrence) -> None:
    """Drones see three or four violations of one vehicle."""
    plate = scene.own("W")
    seen = [
        scene.violation(seconds, plate, scene.place(), violation_code=46)
        for seconds in scene.times(scene.chance.randint(3, 4), 15, 25)
    ]
    scene.expect({"plate": plate}, *seen)


def ticketed_again(scene: Occurrence) -> None:
    """Agents write three tickets for a vehicle that does not move."""
    plate, place = scene.own("W"), scene.place()
    for seconds in scene.times(3, 240, 600):
        scene.ticket(seconds, plate, place, scene.chance.choice((21, 38, 37)))
    scene.expect({"plate": plate, "plate_state": "NY"})


def way_to_school_blocked(scene: Occurrence) -> None:
    """On a school day, an agent tickets a vehicle on the crosswalk of a school."""
    if not school_hours(scene.begin):
        return
    place = scene.chance.choice(geography.SCHOOLS)
    scene.ticket(0, scene.own("U"), place, scene.chance.choice(BLOCKING))
    words = geography.words(place)
    scene.expect({"street": words["street"], "precinct": words["precinct"]})


_SCHOOL_COLUMNS = {place % geography.AVENUES // 2 for place in geography.SCHOOLS}
