"""Incidents with devices: drones in trouble, cameras that nobody sees through, sensors that lie."""

from __future__ import annotations

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.incidents.occurrence import Occurrence

_TAMPERING = ("tamper", "lens_covered", "camera_moved", "defocused", "scene_changed")
_FAULTS = ("rotor_vibration", "gimbal_jammed", "memory_full", "compass_error", "motor_overcurrent")


def needs_human(scene: Occurrence) -> None:
    """A drone sees something that it cannot qualify."""
    source, id_ = scene.violation(0, scene.own("U"), scene.place(), needs_human=True)
    scene.expect({"source": source, "id": id_}, (source, id_))


def image_missing(scene: Occurrence) -> None:
    """A drone reports a violation whose image never comes."""
    plate = scene.own("U")
    scene.violation(0, plate, scene.place(), image_after=None, violation_code=46)
    image = scene.events[-1][1].rsplit('"image_id":"', 1)[1].split('"')[0]
    scene.expect({"image_id": image}, until=900)


def camera_silent(scene: Occurrence) -> None:
    """A camera that gave a sign of life every minute gives none any more."""
    camera, place = scene.own("cctv-6"), scene.place()
    signs = [scene.status(seconds, camera, "camera", place) for seconds in scene.times(3, 50, 60)]
    scene.expect({"device_id": camera}, signs[-1], until=1200)


def camera_frozen(scene: Occurrence) -> None:
    """A camera goes on to detect things, always on the same image."""
    camera, place, image = scene.own("cctv-3"), scene.place(), scene.own("still-")
    for seconds in scene.times(scene.chance.randint(9, 14), 6, 18):
        scene.detection(seconds, "motion", camera, place, image_id=image)
    scene.expect({"device_id": camera, "image_id": image})


def camera_tampered(scene: Occurrence) -> None:
    """Somebody covers, sprays or turns a camera."""
    camera, place = scene.own("cctv-2"), scene.place()
    for seconds in scene.times(scene.chance.randint(1, 3), 1, 5):
        label = scene.chance.choice(_TAMPERING)
        scene.detection(seconds, label, camera, place, severity=4, confidence=scene.sure(0.74))
    scene.expect({"device_id": camera})


def new_device_fault(scene: Occurrence) -> None:
    """A drone reports a fault that it never had."""
    drone = scene.own("8")
    label = scene.chance.choice(_FAULTS)
    scene.status(0, drone, "drone", scene.place(), label=label, severity=scene.chance.randint(3, 5), battery=71.5)
    scene.expect({"device_id": drone})


def device_overheats(scene: Occurrence) -> None:
    """A drone on the ground grows hotter from minute to minute."""
    drone, place = scene.own("7"), scene.place()
    heat = scene.between(55, 60)
    for seconds in scene.times(8, 40, 70):
        heat += scene.between(0.5, 3)
        scene.status(seconds, drone, "drone", place, temperature=round(heat, 1), battery=48.0)
    scene.expect({"device_id": drone})


def drone_lost(scene: Occurrence) -> None:
    """A drone in the air falls silent."""
    drone, place = scene.own("6"), scene.place()
    seen = [fly(scene, seconds, drone, place, battery=63.5) for seconds in scene.times(24, 4.5, 5.5)]
    scene.expect({"device_id": drone}, seen[-1], until=900)


def fly(scene: Occurrence, seconds: float, drone: str, place: int, **more: float) -> tuple[str, str]:
    """A drone says where it is, high in the air unless more is known."""
    flight = {"altitude": round(scene.between(35, 90), 1), "speed_kmh": 24.0, "temperature": 31.0, **more}
    data = {"device_id": drone, "device_kind": "drone", **flight, **geography.position(place)}
    return scene.add(seconds, "drone.position", f"drone/{drone}", drone, data)


def battery_not_changed(scene: Occurrence) -> None:
    """The battery of a drone runs empty, and nobody comes."""
    drone, place = scene.own("5"), scene.place()
    charge = scene.between(9, 12)
    for seconds in scene.times(10, 45, 60):
        charge = max(0.5, charge - scene.between(0.8, 1.6))
        scene.status(seconds, drone, "drone", place, battery=round(charge, 1))
    scene.expect({"device_id": drone}, until=1200)


def sensor_stuck(scene: Occurrence) -> None:
    """A sensor measures the same to the last digit, for half an hour."""
    kind, place = scene.chance.choice(("temperature", "sound")), scene.place()
    sensor, value = scene.own(f"{kind}-8"), round(scene.between(14, 60), 1)
    for seconds in scene.times(scene.chance.randint(85, 100), 14, 20):
        scene.reading(seconds, kind, value, place, sensor=sensor)
    scene.expect({"device_id": sensor, "value": value})
