"""Incidents with people: who prepares something, leaves something, runs, shoots."""

from __future__ import annotations

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.incidents.occurrence import Occurrence

WANTED = 20
"""How many persons are on the shipped list of wanted persons and walk in the city."""
PRECINCTS = (61, 63, 69, 106, 72, 71, 75, 113, 13, 108, 110, 112, 19, 114, 115, 109)
_SUSPICIOUS = ("Following people", "Testing security", "Monitoring activities", "Suspicious photography", "Graffiti")


def wanted(number: int) -> str:
    """A person of the shipped list `wanted`."""
    return f"00000000-0000-4000-8000-{number + 1:012d}"


def reconnaissance(scene: Occurrence) -> None:
    """A person watches the exits, tests the guard and enters."""
    person, place = scene.own("person-"), scene.chance.choice(geography.RESTRICTED)
    steps = ("Surveillance of Exits", "Testing security", "Entering restricted areas")
    for seconds, step in zip(scene.times(3, 12, 30), steps, strict=True):
        scene.report(seconds, person, ("Loitering", step, "Frowning"), place)
    scene.expect({"person_id": person})


def bag_in_crowd(scene: Occurrence) -> None:
    """A bag is left in a station while a crowd stands there."""
    place = scene.chance.choice(geography.TRANSIT)
    for seconds in scene.times(4, 15, 25):
        scene.reading(seconds, "crowd", scene.chance.randint(215, 400), place)
    left = ("Unattended bags", "Evasive behavior", "Phoning")
    scene.report(scene.between(10, 40), scene.own("person-"), left, place)
    scene.expect({"precinct": geography.area(place)[1]})


def bag_left(scene: Occurrence) -> None:
    """Somebody puts something down and goes; long after, it is taken away."""
    camera, place = scene.own("cctv-4"), scene.place()
    scene.detection(0, "object_left", camera, place, confidence=scene.sure(0.65))
    scene.detection(scene.between(420, 900), "object_removed", camera, place)
    scene.expect({"device_id": camera})


def seen_on_many_cameras(scene: Occurrence) -> None:
    """A person does something suspicious in front of one camera after another."""
    person = scene.own("person-")
    for seconds in scene.times(scene.chance.randint(5, 7), 15, 200):
        behaviors = (scene.chance.choice(_SUSPICIOUS), "Loitering", "Frowning")
        scene.report(seconds, person, behaviors, scene.place())
    scene.expect({"person_id": person})


def wanted_person(scene: Occurrence) -> None:
    """A camera reports somebody who is on the list of wanted persons."""
    person = wanted(scene.nth % WANTED)
    scene.report(0, person, ("Phoning", "Heavy backpacks", "Smile"), scene.place())
    scene.expect({"person_id": person})


def gunfire(scene: Occurrence) -> None:
    """Acoustic sensors of a precinct hear a shot within some seconds."""
    precinct = scene.chance.choice(PRECINCTS)
    places = scene.chance.sample(geography.in_precinct(precinct), scene.chance.randint(3, 5))
    for seconds, place in zip(scene.times(len(places), 0.3, 1.2), places, strict=True):
        loud = round(scene.between(108, 124), 1)
        scene.reading(seconds, "acoustic", loud, place, label="gunshot", confidence=scene.sure(0.8))
    scene.expect({"precinct": precinct})


def shots_and_flight(scene: Occurrence) -> None:
    """One sensor hears a shot; soon after cameras see people run."""
    precinct = scene.chance.choice(PRECINCTS)
    shot, *places = scene.chance.sample(geography.in_precinct(precinct), 4)
    scene.reading(0, "acoustic", 117.5, shot, label="gunshot", confidence=scene.sure(0.74))
    for seconds, place in zip(scene.times(3, 2, 8, scene.between(8, 18)), places, strict=True):
        sure = scene.sure(0.72)
        scene.detection(seconds, "crowd_running", f"cctv-9{place:04d}", place, confidence=sure, severity=4)
    scene.expect({"precinct": precinct})


def crowd_surge(scene: Occurrence) -> None:
    """Where some people passed in a minute, nearly one a second comes."""
    camera, place = scene.own("cctv-7"), scene.place()
    quiet = scene.times(12, 20, 26)
    for seconds in quiet:
        scene.detection(seconds, "person_detected", camera, place, confidence=scene.sure(0.62))
    for seconds in scene.times(scene.chance.randint(55, 75), 0.6, 1.1, quiet[-1] + 1):
        scene.detection(seconds, "person_detected", camera, place, confidence=scene.sure(0.62))
    scene.expect({"device_id": camera})
