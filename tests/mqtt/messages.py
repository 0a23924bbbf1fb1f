"""What devices publish, as Frigate and ONVIF Profile M document it."""

from __future__ import annotations

import json

EPOCH = 1_767_614_400
"""2026-01-05T12:00:00Z in seconds."""


def tracked(number: int, camera: str = "gate") -> str:
    """frigate/events: a new object."""
    after = {"id": f"o{number}", "camera": camera, "label": "car", "frame_time": EPOCH + number, "start_time": EPOCH}
    return json.dumps({"type": "new", "before": None, "after": after})


def review(number: int) -> str:
    """frigate/reviews: a new item."""
    after = {"id": f"r{number}", "camera": "gate", "start_time": EPOCH + number, "severity": "alert"}
    return json.dumps({"type": "new", "before": after, "after": after})


def frame(number: int) -> str:
    """onvif-mj: a frame with a person and a vehicle with its plate."""
    at = f"2026-01-05T12:00:{number:02}Z"
    person = {"@ObjectId": 1, "Appearance": {"Class": {"Type": [{"@Likelihood": 0.8, "#text": "Human"}]}}}
    plate = {"PlateNumber": {"@Likelihood": 0.9, "#text": f"abc-{number}"}}
    vehicle = {"Class": {"Type": [{"@Likelihood": 1, "#text": "Vehicle"}]}, "LicensePlateInfo": plate}
    objects = [person, {"@ObjectId": 2, "Appearance": vehicle}]
    return json.dumps({"Frame": [{"@UtcTime": at, "@Source": "Gate", "Object": objects}]})


def motion(number: int) -> str:
    """onvif-ej: a rule of the camera."""
    source = {"VideoSourceToken": "1", "Rule": "Loitering"}
    return json.dumps({"UtcTime": f"2026-01-05T12:00:{number:02}Z", "Source": source, "Data": {"State": True}})
