"""Alerts as messages of the older drone system."""

from __future__ import annotations

import json
from typing import Any

import pytest

from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.notify.kafka import older_message
from citywatch.settings import Settings
from tests.unit.mappings.intake import chunk
from tests.unit.notify.alerts import ZONE, alert

DRONE = {"device_id": "4", "plate": "GZH7067", "violation_code": 38, "address": "1316 Madison Ave"}


def said(**data: Any) -> Any:
    message = older_message(alert(data=data), ZONE)
    return None if message is None else json.loads(message)


def test_an_alert_about_a_vehicle_is_written_as_the_older_alert_job_wrote_it() -> None:
    assert said(**DRONE) == {
        "drone_id": 4,
        "plate_id": "GZH7067",
        "address": "1316 Madison Ave",
        "time": "05/01/2026 0800A",
        "violation_code": "38",
    }


def test_an_offence_that_needs_a_person_has_the_code_nought() -> None:
    assert said(**{**DRONE, "violation_code": None, "needs_human": True})["violation_code"] == "0"


@pytest.mark.parametrize(
    ("more", "drone"),
    [
        ({"device_id": "north-7"}, "north-7"),
        ({"device_id": "1", "device_kind": "camera"}, None),
        ({"device_id": None}, None),
    ],
)
def test_what_is_no_drone_of_theirs_is_named_as_it_is_or_not_at_all(more: dict[str, Any], drone: str | None) -> None:
    assert said(**{**DRONE, **more})["drone_id"] == drone


def test_an_alert_about_no_vehicle_has_no_such_message() -> None:
    assert said(device_id="sensor-1", value=3) is None
    assert older_message(alert(evidence=[]), ZONE) is None


def test_the_message_is_read_as_the_event_that_it_is_about() -> None:
    message = older_message(alert(data=DRONE), ZONE)
    assert message is not None
    parsed = Parser(Settings(zone=ZONE), load_mappings()).parse(chunk([message.decode()]))
    (event,) = parsed.events.to_pylist()
    assert (event["type"], event["device_id"], event["plate"]) == ("drone.violation", "4", "GZH7067")
    assert event["violation_code"] == 38
