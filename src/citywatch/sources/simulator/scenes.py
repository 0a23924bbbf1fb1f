"""What is planned to happen in the city: for every shipped rule an incident that it has to find.

A scene is a function of its occurrence: it returns the events and the alert that is to come of them. All plates,
persons and devices in it are its own, so that nothing else explains the alert.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from citywatch.settings import MINUTE, SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.stream import Planted
from citywatch.sources.simulator.traffic import READERS

SEEN = 0.97
"""A confidence that every rule believes."""


@dataclass
class Occurrence:
    """One time that a scene is played: its match is due at `at` (µs, whole milliseconds); `turn` counts from 0."""

    kind: str
    at: int
    turn: int
    run: str
    events: list[tuple[int, str]] = field(default_factory=list)
    """(time, body) of each, in the order in which they were added."""

    @property
    def token(self) -> str:
        """Different for all occurrences, in upper case letters and digits: nine signs."""
        number, signs = self.at // SECOND, ""
        while number:
            number, digit = divmod(number, 36)
            signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + signs
        return signs

    def place(self, step: int) -> int:
        """A crossing that differs from occurrence to occurrence."""
        return self.at // MINUTE * step % geography.CROSSINGS

    def reader(self, step: int) -> int:
        """A plate reader that differs from occurrence to occurrence."""
        return self.at // MINUTE * step % READERS

    def add(self, seconds: float, type_: str, source: str, data: Mapping[str, Any], subject: str) -> tuple[str, str]:
        """Let an event happen `seconds` after the match is due; returns its (source, id)."""
        time = self.at + round(seconds * 1000) * 1000
        id_ = f"{self.run}-{self.kind}-{self.token}-{len(self.events)}"
        attributes = {"specversion": "1.0", "id": id_, "source": source, "type": type_, "subject": subject}
        body = json.dumps({**attributes, "time": rfc3339(time), "data": data}, separators=(",", ":"))
        self.events.append((time, body[:-1]))
        return source, id_

    def planted(self, group: Mapping[str, Any], *events: tuple[str, str], seconds: float = 0) -> Planted:
        """The alert that is expected, of the rule that has the scene's name."""
        return Planted(self.kind, self.kind, group, self.at + round(seconds * SECOND), events)

    def read(self, seconds: float, plate: str, reader: int, **more: Any) -> tuple[str, str]:
        """A plate reader sees a plate."""
        vehicle = {"plate_state": "NY", "vehicle_make": "Honda", "vehicle_body": "sedan", "vehicle_color": "gray"}
        device = {"device_id": f"anpr-{reader:04d}", "device_kind": "camera"}
        place = geography.position(geography.anpr_place(reader))
        data = {"plate": plate, "plate_confidence": SEEN, **vehicle, **more, **device, **place}
        return self.add(seconds, "anpr.read", f"camera/anpr-{reader:04d}", data, plate)

    def report(self, seconds: float, person: str, behaviors: tuple[str, ...], place: int) -> tuple[str, str]:
        """A camera reports what a person does."""
        camera = f"cctv-9{place:04d}"
        device = {"device_id": camera, "device_kind": "camera"}
        data = {"person_id": person, "behaviors": behaviors, **device, **geography.position(place)}
        return self.add(seconds, "person.report", f"camera/{camera}", data, person)

    def alive(self, seconds: float, camera: str, place: int) -> tuple[str, str]:
        """A camera gives a sign of life."""
        device = {"device_id": camera, "device_kind": "camera"}
        data = {"label": "ok", **device, **geography.position(place)}
        return self.add(seconds, "device.status", f"camera/{camera}", data, camera)

    def violation(self, seconds: float, plate: str, place: int, **more: Any) -> tuple[str, str]:
        """A drone sees a violation and sends the image half a second later."""
        drone = f"9{place:04d}"
        image = f"{self.run}-{self.kind}-{self.token}-{len(self.events)}"
        where = {"device_id": drone, "device_kind": "drone", **geography.position(place)}
        self.add(seconds + 0.5, "violation.image", f"drone/9{place:04d}", {"image_id": image, **where}, image)
        return self.add(
            seconds,
            "drone.violation",
            f"drone/9{place:04d}",
            {**more, "plate": plate, "image_id": image, **where},
            plate,
        )


def needs_human(scene: Occurrence) -> Planted:
    """A drone sees something that it cannot qualify."""
    event = scene.violation(0, f"U{scene.token}"[:7], scene.place(101), needs_human=True)
    return scene.planted({"source": event[0], "id": event[1]}, event)


def stolen_plate(scene: Occurrence) -> Planted:
    """A reader sees a plate that is on the list of stolen vehicles."""
    plate = stolen(scene.at // CYCLE % STOLEN)
    return scene.planted({"plate": plate}, scene.read(0, plate, scene.reader(37)))


def gunfire(scene: Occurrence) -> Planted:
    """Three acoustic sensors of a precinct hear a shot within three seconds."""
    precinct = _PRECINCTS[scene.turn % len(_PRECINCTS)]
    heard = []
    for nth, place in enumerate(geography.in_precinct(precinct)[20:23]):
        sensor = f"acoustic-9{place:04d}"
        measured = {
            "sensor_kind": "acoustic",
            "unit": "dB(A)",
            "value": 118.5 - nth,
            "label": "gunshot",
            "confidence": 0.93,
        }
        device = {"device_id": sensor, "device_kind": "sensor", **geography.position(place)}
        heard.append(scene.add(nth * 1.2 - 1.2, "sensor.reading", f"sensor/{sensor}", {**measured, **device}, sensor))
    return scene.planted({"precinct": precinct}, *heard[:2])


def cloned_plate(scene: Occurrence) -> Planted:
    """One plate at two ends of the town within a minute."""
    plate = f"V{scene.token}"
    first = scene.read(-60, plate, scene.reader(1) % 30)
    return scene.planted({"plate": plate}, first, scene.read(0, plate, 270 + (scene.reader(1) + 7) % 30))


def repeat_offender(scene: Occurrence) -> Planted:
    """Drones see three violations of one vehicle."""
    plate = f"W{scene.token}"
    seen = [
        scene.violation(-80 + 40 * nth, plate, (scene.place(31) + nth * 7) % geography.CROSSINGS, violation_code=46)
        for nth in range(3)
    ]
    return scene.planted({"plate": plate}, *seen)


def reconnaissance(scene: Occurrence) -> Planted:
    """A person watches the exits, tests the guard and enters."""
    person = f"person-{scene.token}"
    place = geography.RESTRICTED[scene.turn % len(geography.RESTRICTED)]
    steps = ("Surveillance of Exits", "Testing security", "Entering restricted areas")
    seen = [
        scene.report(-60 + 30 * nth, person, ("Loitering", step, "Frowning"), place) for nth, step in enumerate(steps)
    ]
    return scene.planted({"person_id": person}, *seen)


def bag_in_crowd(scene: Occurrence) -> Planted:
    """A bag is left in a station while a crowd stands there."""
    place = geography.TRANSIT[scene.turn % len(geography.TRANSIT)]
    sensor = f"crowd-9{place:04d}"
    measured = {"sensor_kind": "crowd", "unit": "persons", "value": 260, "device_id": sensor, "device_kind": "sensor"}
    crowd = scene.add(-40, "sensor.reading", f"sensor/{sensor}", {**measured, **geography.position(place)}, sensor)
    bag = scene.report(0, f"person-{scene.token}", ("Unattended bags", "Evasive behavior", "Phoning"), place)
    return scene.planted({"precinct": geography.area(place)[1]}, crowd, bag)


def plate_swapped(scene: Occurrence) -> Planted:
    """A plate moves from one make of vehicle to another."""
    plate, reader = f"X{scene.token}", scene.reader(17)
    before = scene.read(-45, plate, reader, vehicle_make="Honda")
    return scene.planted({"plate": plate}, before, scene.read(0, plate, reader, vehicle_make="Ford"))


def new_device_fault(scene: Occurrence) -> Planted:
    """A drone reports a fault that it never had."""
    drone = f"8{scene.token}"
    device = {"device_id": drone, "device_kind": "drone"}
    place = geography.position(scene.place(113))
    data = {"label": "rotor_vibration", "severity": 4, "battery": 71.5, **device, **place}
    fault = scene.add(0, "device.status", f"drone/{drone}", data, drone)
    return scene.planted({"device_id": drone}, fault)


def crowd_surge(scene: Occurrence) -> Planted:
    """Where six people passed in two minutes, one a second comes."""
    place = scene.place(131)
    camera = f"cctv-7{scene.token}"
    device = {"device_id": camera, "device_kind": "camera", **geography.position(place)}

    def passes(seconds: float) -> tuple[str, str]:
        data = {"label": "person_detected", "confidence": 0.9, "severity": 2, **device}
        return scene.add(seconds, "camera.event", f"camera/{camera}", data, camera)

    for nth in range(12):
        passes(-268 + 20 * nth)
    surge = [passes(nth - 25) for nth in range(45)]
    return scene.planted({"device_id": camera}, surge[25])


def image_missing(scene: Occurrence) -> Planted:
    """A drone reports a violation whose image never comes."""
    place, image = scene.place(61), f"{scene.run}-lost-{scene.token}"
    device = {"device_id": f"9{place:04d}", "device_kind": "drone", **geography.position(place)}
    data = {"violation_code": 46, "plate": f"U{scene.token}", "image_id": image, **device}
    return scene.planted(
        {"image_id": image}, scene.add(-120, "drone.violation", f"drone/9{place:04d}", data, data["plate"])
    )


def camera_silent(scene: Occurrence) -> Planted:
    """A camera that gave signs of life gives none for five minutes."""
    place, camera = scene.place(71), f"cctv-6{scene.token}"
    scene.alive(-360, camera, place)
    return scene.planted({"device_id": camera}, scene.alive(-300, camera, place))


def standing_at_school(scene: Occurrence) -> Planted:
    """A vehicle stands in front of a school, read every half minute."""
    plate = f"Y{scene.token}"
    schools = [reader for reader in range(READERS) if geography.anpr_place(reader) in geography.SCHOOLS]
    reader = schools[scene.turn % len(schools)]
    reads = [scene.read(-300 + 30 * nth, plate, reader, speed_kmh=0) for nth in range(13)]
    return scene.planted({"plate": plate}, *reads[:11])


_PRECINCTS = (61, 63, 69, 106, 72, 71, 75, 113, 13, 108, 110, 112, 19, 114, 115, 109)

STOLEN = 60
"""How many plates are on the shipped list of stolen vehicles and driven in the city."""


def stolen(number: int) -> str:
    """A plate of the shipped list `stolen`."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return f"T{letters[number * 7 % 26]}{letters[number * 11 % 26]}{1000 + number * 1409 % 9000}"


def rfc3339(time: int) -> str:
    """µs since 1970 as text, to the millisecond."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=time)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@dataclass(frozen=True, slots=True)
class Scene:
    """When a scene is due and in which worlds it is played. Durations in µs."""

    play: Callable[[Occurrence], Planted]
    offset: int
    """From the beginning to the first match."""
    lead: int
    """From the first event to the match."""
    worlds: frozenset[str]

    @property
    def kind(self) -> str:
        """Name of the scene and of the rule that has to find it."""
        return self.play.__name__


def _scene(play: Callable[[Occurrence], Planted], offset: int, lead: int, *worlds: str) -> Scene:
    return Scene(play, offset * SECOND, lead * SECOND, frozenset(("city", *worlds)))


SCENES: tuple[Scene, ...] = (
    _scene(needs_human, 3, 0, "drones"),
    _scene(stolen_plate, 8, 0, "cctv"),
    _scene(gunfire, 20, 2, "sensors"),
    _scene(new_device_fault, 40, 0, "drones"),
    _scene(bag_in_crowd, 50, 40),
    _scene(crowd_surge, 55, 268, "cctv"),
    _scene(plate_swapped, 60, 45, "cctv"),
    _scene(reconnaissance, 65, 60, "cctv"),
    _scene(cloned_plate, 68, 60, "cctv"),
    _scene(camera_silent, 70, 360, "cctv"),
    _scene(standing_at_school, 75, 300, "cctv"),
    _scene(repeat_offender, 85, 80, "drones"),
    _scene(image_missing, 66, 120, "drones"),
)

CYCLE = 5 * MINUTE
"""Every scene is played once in this time."""
