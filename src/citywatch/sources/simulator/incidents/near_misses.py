"""What only looks like an incident: nothing here is in the truth, and every alert that comes of it is a false one."""

from __future__ import annotations

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.incidents.devices import fly
from citywatch.sources.simulator.incidents.occurrence import Occurrence
from citywatch.sources.simulator.incidents.persons import PRECINCTS
from citywatch.sources.simulator.incidents.vehicles import STOLEN, along_avenue, stolen
from citywatch.sources.simulator.traffic import MAKES


def plate_misread(scene: Occurrence) -> None:
    """A reader takes a plate for a stolen one, another for one that is elsewhere; neither is sure of it."""
    scene.read(0, stolen(scene.nth % STOLEN), scene.reader(), plate_confidence=scene.sure(0.4, 0.75))
    plate = scene.own("TT")
    scene.read(1, plate, 3)
    scene.read(scene.between(20, 60), plate, 290, plate_confidence=scene.sure(0.5, 0.85))


def make_misread(scene: Occurrence) -> None:
    """A reader takes one make for its sister model, and says that it is not sure."""
    plate, reader = scene.own("TU"), scene.reader()
    first, other = scene.chance.sample(MAKES, 2)
    readings = ((first, 0.97), (first, 0.97), (other, scene.sure(0.5, 0.92)), (first, 0.97))
    for seconds, (make, sure) in zip(scene.times(4, 10, 30), readings, strict=True):
        scene.read(seconds, plate, reader, vehicle_make=make, plate_confidence=sure)


def fireworks(scene: Occurrence) -> None:
    """Sensors hear fireworks; one of them takes a rocket for a shot, and is not sure."""
    places = scene.chance.sample(geography.in_precinct(scene.chance.choice(PRECINCTS)), 3)
    for nth, place in enumerate(places):
        label, sure = ("fireworks", scene.sure()) if nth else ("gunshot", scene.sure(0.3, 0.66))
        scene.reading(nth * 1.5, "acoustic", 112.0, place, label=label, confidence=sure)


def marathon(scene: Occurrence) -> None:
    """People run, and nobody shot."""
    place = scene.place()
    for seconds in scene.times(6, 5, 30):
        scene.detection(seconds, "crowd_running", f"cctv-9{place:04d}", place)


def letting_somebody_out(scene: Occurrence) -> None:
    """A car stops at a school for a moment."""
    plate, reader, looks = scene.own("TV"), scene.school_reader(), scene.vehicle()
    for seconds in scene.times(scene.chance.randint(4, 8), 10, 30):
        scene.read(seconds, plate, reader, **looks, speed_kmh=0)


def brisk_drive(scene: Occurrence) -> None:
    """A car drives along an avenue faster than it may, as many do."""
    along_avenue(scene, scene.own("TW"), scene.between(50, 80))


def lone_speeder(scene: Occurrence) -> None:
    """One vehicle alone is much too fast, another a little at a school."""
    scene.read(0, scene.own("TX"), scene.reader(), **scene.vehicle(), speed_kmh=round(scene.between(90, 150)))
    scene.read(5, scene.own("TY"), scene.school_reader(), **scene.vehicle(), speed_kmh=round(scene.between(40, 62)))


def two_tickets(scene: Occurrence) -> None:
    """A vehicle gets two tickets, one of them in front of a school where it is in nobody's way."""
    plate = scene.own("TZ")
    scene.ticket(0, plate, scene.place(), 21)
    scene.ticket(scene.between(60, 280), plate, scene.chance.choice(geography.SCHOOLS), 38)


def two_violations(scene: Occurrence) -> None:
    """Drones see two violations of one vehicle; one of the images takes its time."""
    plate = scene.own("UA")
    scene.violation(0, plate, scene.place(), violation_code=46)
    late = scene.between(40, 110)
    scene.violation(scene.between(60, 120), plate, scene.place(), image_after=late, violation_code=36)


def staff(scene: Occurrence) -> None:
    """Somebody enters a restricted site, tests its locks, and watches who leaves: in the order of a round of duty."""
    person, place = scene.own("person-"), scene.chance.choice(geography.RESTRICTED)
    for seconds, step in enumerate(("Entering restricted areas", "Testing security", "Surveillance of Exits")):
        scene.report(seconds * 40, person, ("Phoning", step, "Smile"), place)


def luggage(scene: Occurrence) -> None:
    """A bag stands in a station where few people are; on a street one is put down, and soon taken again."""
    scene.reading(0, "crowd", scene.chance.randint(20, 150), geography.TRANSIT[0])
    scene.report(20, scene.own("person-"), ("Unattended bags", "Hug", "Phoning"), geography.TRANSIT[0])
    camera, place = scene.own("cctv-4"), scene.place()
    scene.detection(0, "object_left", camera, place)
    scene.detection(scene.between(30, 150), "object_removed", camera, place)


def tourist(scene: Occurrence) -> None:
    """Somebody passes many cameras and does nothing in front of them."""
    person = scene.own("person-")
    for seconds in scene.times(8, 30, 120):
        scene.report(seconds, person, ("Smile", "Phoning", "Heavy backpacks"), scene.place())


def end_of_work(scene: Occurrence) -> None:
    """More and more people come, as at the end of every working day."""
    camera, place = scene.own("cctv-7"), scene.place()
    seconds, gap = 0.0, 9.0
    while gap > 1.5:
        scene.detection(round(seconds, 3), "person_detected", camera, place)
        seconds, gap = seconds + gap, gap * 0.988


def battery_changed_late(scene: Occurrence) -> None:
    """A battery is nearly empty before somebody changes it."""
    drone, place = scene.own("5"), scene.place()
    for seconds, charge in zip(scene.times(3, 50, 60), (11.5, 8.5, 6.5), strict=True):
        scene.status(seconds, drone, "drone", place, battery=charge)
    scene.status(scene.between(170, 300), drone, "drone", place, label="battery_changed", battery=99.0)


def landing(scene: Occurrence) -> None:
    """A drone comes down and stays on the ground."""
    drone, place = scene.own("6"), scene.place()
    for nth, seconds in enumerate(scene.times(24, 4.5, 5.5)):
        fly(scene, seconds, drone, place, altitude=max(0.0, 57.0 - 4 * nth))


def summer_heat(scene: Occurrence) -> None:
    """A drone is hot, but not too hot; one measurement is nonsense."""
    drone, place = scene.own("7"), scene.place()
    for seconds, heat in zip(scene.times(5, 50, 70), (51.0, 54.5, 85.0, 55.5, 56.0), strict=True):
        scene.status(seconds, drone, "drone", place, temperature=heat)


def notice(scene: Occurrence) -> None:
    """A device reports something that is no fault."""
    severity = scene.chance.randint(1, 2)
    scene.status(0, scene.own("8"), "drone", scene.place(), label="firmware_old", severity=severity)


def wind(scene: Occurrence) -> None:
    """A camera sways and takes it for tampering, a bicycle for a vehicle on the wrong side, and is sure of neither."""
    camera, place = scene.own("cctv-2"), scene.place()
    scene.detection(0, "camera_moved", camera, place, confidence=scene.sure(0.3, 0.66))
    scene.detection(9, "wrong_way", camera, place, confidence=scene.sure(0.3, 0.75))


def still_life(scene: Occurrence) -> None:
    """A camera joins a few detections of one moment to one image."""
    camera, place, image = scene.own("cctv-3"), scene.place(), scene.own("still-")
    for seconds in scene.times(3, 0.1, 2):
        scene.detection(seconds, "motion", camera, place, image_id=image)


def calm(scene: Occurrence) -> None:
    """Nobody is in a place for long, and a cellar has the same temperature for a while."""
    place, empty, cellar = scene.place(), scene.own("crowd-8"), scene.own("temperature-8")
    for nth, seconds in enumerate(scene.times(30, 12, 18)):
        scene.reading(seconds, "crowd", 0, place, sensor=empty)
        scene.reading(seconds, "temperature", round(14 + 0.1 * (nth // 12), 1), place, sensor=cellar)
