"""What cameras publish becomes events, each known by its fields alone or by the mapping that its address names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.mqtt.broker import Broker, until
from tests.mqtt.conftest import ids, listening, refused, stored
from tests.mqtt.messages import frame, motion, review, tracked


def test_frigate_and_onvif_are_known_by_their_fields(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    with listening(data, broker.address("#")):
        for topic, message in (("frigate/events", tracked), ("frigate/reviews", review)):
            broker.publish(topic, [message(1), message(2)])
        broker.publish("cam/onvif-mj/VideoAnalytics", [frame(3)])
        broker.publish("cam/onvif-ej/RuleEngine/Loitering", [motion(4)])
        until(lambda: len(ids(data)) == 8)
    assert stored(data, "type, source, label, severity, plate") == [
        ("camera.event", "frigate/gate", "vehicle_detected", None, None),
        ("camera.event", "frigate/gate", "vehicle_detected", None, None),
        ("camera.event", "frigate/gate", "review_alert", 4, None),
        ("camera.event", "frigate/gate", "review_alert", 4, None),
        ("camera.event", "onvif/Gate", "person_detected", None, None),
        ("camera.event", "onvif/Gate", "vehicle_detected", None, None),
        ("anpr.read", "onvif/Gate", None, None, "ABC3"),
        ("camera.event", "onvif/1", "Loitering", None, None),
    ]
    assert refused(data) == []


def test_the_receipt_is_stamped_here_whatever_a_sender_says(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    event = '{"specversion":"1.0","id":"1","source":"s","type":"x","receivedat":"2020-01-01T00:00:00Z","data":{}}'
    with listening(data, broker.address("t")):
        broker.publish("t", [event])
        until(lambda: ids(data) == ["1"])
    assert stored(data, "received_at > now() - INTERVAL 1 HOUR") == [(True,)]


def test_a_mapping_in_the_address_is_what_every_message_is_taken_for(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    with listening(data, broker.address("#", "mapping=frigate-reviews")):
        broker.publish("any/topic", [review(1), tracked(2)])
        until(lambda: ids(data) == ["r1-review-new"] and refused(data))
    ((reason, _),) = refused(data)
    assert "after.severity" in str(reason)


def test_a_mapping_that_there_is_not_is_said_before_anything_is_read(tmp_path: Path, broker: Broker) -> None:
    address = broker.address("t", "mapping=frigate-evnts")
    command = [
        sys.executable,
        "-c",
        "from citywatch.cli import main; main()",
        "run",
        address,
        "--data",
        str(tmp_path / "data"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "there is no mapping 'frigate-evnts'" in ended.stderr
    assert "frigate-events" in ended.stderr
