"""What a topic's messages become: where they stand, when they came, what they are taken for."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.listening import listening, refused, stored
from tests.cluster.running import citywatch
from tests.cluster.topics import Cluster
from tests.mqtt.broker import until

pytestmark = pytest.mark.cluster

OLDER = '{"drone_id": 4, "plate_id": "VWWFHVR", "address": "907 W 91th St", "time": "%s", "violation_code": "95"}'
PERSON = json.dumps(
    {"id": "p1", "first_name": "Ada", "last_name": "Low", "gender": "female", "age": 31, "behaviors": ["Hug"] * 3}
    | {"location": [12, 80], "time": "7:5", "timeframe": "morning", "phone": "1", "picture": "p"}
    | {"dangerosity_score": 0}
)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(number: int, **attributes: Any) -> str:
    head = {"specversion": "1.0", "id": str(number), "source": "s", "type": "t", "data": {"device_id": str(number % 5)}}
    return json.dumps(head | attributes)


def test_a_poison_message_of_each_partition_is_kept_with_its_place_and_stops_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make(partitions=3, max_message_bytes="20000000")
    bad = [b"\xff\xfe", "no JSON", None, "[1]", '{"unknown": 1}', b'{"id": "' + b"n" * 17_000_000]
    for number in range(3):
        cluster.send(name, [event(number)], partition=number)
        cluster.send(name, bad[2 * number : 2 * number + 2], partition=number)
        cluster.send(name, [event(10 + number)], partition=number)
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(12)
    assert sorted(stored(tmp_path)) == [("0",), ("1",), ("10",), ("11",), ("12",), ("2",)]
    places = [(source, line) for source, line, _ in refused(tmp_path)]
    assert places == [(f"{name}/{number}", line) for number in range(3) for line in (1, 2)]
    reasons = [str(reason) for _, _, reason in refused(tmp_path)]
    assert "not UTF-8" in reasons[0]
    assert reasons[2] == "no value: a tombstone"
    assert reasons[5].startswith("longer than 16,777,216 bytes")


def test_the_time_of_receipt_is_what_the_event_says_or_else_when_it_came_to_the_topic(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make()
    now = datetime.now(UTC).replace(microsecond=0)
    said, came, future = now - timedelta(hours=3), now - timedelta(hours=2), now + timedelta(hours=1)
    messages = [
        event(0, receivedat=iso(said)),
        event(1, time=iso(came)),
        event(2),
        event(3, receivedat=iso(future)),
        event(4, receivedat="yesterday"),
        OLDER % "10/21/2020 0309A",
    ]
    cluster.send(name, messages, stamp=round(came.timestamp() * 1000))
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(6)
    times = stored(tmp_path, "epoch_us(received_at), epoch_us(time), type")
    at, then = round(said.timestamp() * 1e6), round(came.timestamp() * 1e6)
    assert times[:3] == [(at, at, "t"), (then, then, "t"), (then, then, "t")]
    assert times[3][0] == then
    assert times[3][2] == "drone.violation"
    assert [reason for *_, reason in refused(tmp_path)] == [
        "received_at_in_future",
        "received_at: yesterday is no TIMESTAMPTZ in RFC 3339 with an offset, 0001-01-02 to 9999-12-30",
    ]


def test_the_older_topics_are_read_in_their_own_shapes(cluster: Cluster, tmp_path: Path) -> None:
    ticket = OLDER.replace('"drone_id": 4', '"drone_id": null') % "10/21/2020 0310A"
    topics = {"users": [PERSON], "csv_topic": [ticket], "drone_topic": [OLDER % "10/21/2020 0309A"]}
    names = {topic: cluster.make(f"{topic}-{tmp_path.name}-{time.time_ns()}") for topic in topics}
    for topic, messages in topics.items():
        cluster.send(names[topic], messages)
    mapping = f"{names['users']}:safety-watcher,{names['csv_topic']}:prestacop"
    with listening(tmp_path, cluster.url(*names.values(), mapping=mapping)) as heard:
        assert heard.source.mappings == ("safety-watcher", "prestacop")
        heard.wait(3)
        cluster.send(names["users"], [OLDER % "10/21/2020 0309A"])
        heard.wait(4)
    assert sorted(stored(tmp_path, "type")) == [("drone.violation",), ("person.report",), ("ticket.issued",)]
    assert [source for source, *_ in refused(tmp_path)] == [f"{names['users']}/0"], "that is no report of a person"


def test_a_mapping_that_there_is_not_is_said_before_anything_is_read(cluster: Cluster, tmp_path: Path) -> None:
    done = citywatch("run", cluster.url("users", mapping="safety-wacher"), "--data", tmp_path / "data")
    assert done.returncode == 2
    assert "there is no mapping 'safety-wacher'" in done.stderr


@pytest.mark.parametrize(("start", "expected"), [("beginning", ["0", "1", "2"]), ("latest", ["1", "2"])])
def test_a_topic_of_which_nothing_is_known_is_begun_where_one_says_and_goes_on_there(
    cluster: Cluster, tmp_path: Path, start: str, expected: list[str]
) -> None:
    name = cluster.make()
    address = cluster.url(name, from_=start)
    cluster.send(name, [event(0)])
    with listening(tmp_path, address) as heard:
        until(lambda: heard.source.parts() and heard.waiting() == 0)
    cluster.send(name, [event(1)])
    with listening(tmp_path, address) as heard:
        cluster.send(name, [event(2)])
        heard.wait(len(expected))
    assert [row[0] for row in stored(tmp_path)] == expected


def test_every_data_directory_reads_a_topic_for_itself_and_what_it_has_read_decides(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make(partitions=2)
    cluster.send(name, [event(n) for n in range(20)], key=lambda message: str(len(str(message))))
    for data in (tmp_path / "one", tmp_path / "other"):
        with listening(data, cluster.url(name)) as heard:
            heard.wait(20)
            assert heard.engine.status()["counts"]["duplicates"] == 0
    with listening(tmp_path / "one", cluster.url(name, group="another-name")) as heard:
        cluster.send(name, [event(20)])
        heard.wait(21)
        assert heard.engine.status()["counts"]["duplicates"] == 0


def test_a_topic_that_is_made_anew_is_read_from_its_beginning(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.make()
    cluster.send(name, [event(n) for n in range(5)])
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(5)
    cluster.drop(name)
    cluster.make(name)
    cluster.send(name, [event(10 + n) for n in range(8)])
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(13)
    assert len(stored(tmp_path)) == 13


def test_messages_that_kafka_has_deleted_before_they_were_read_are_told(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.make()
    cluster.send(name, [event(n) for n in range(5)])
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(5)
    cluster.send(name, [event(n) for n in range(5, 15)])
    cluster.delete_before(name, 12)
    with listening(tmp_path, cluster.url(name)) as heard:
        heard.wait(8)
        assert f"7 messages of {name}/0 were deleted by Kafka before they were read here" in heard.said
    assert len(stored(tmp_path)) == 8


def test_a_topic_that_there_is_not_is_named_and_read_when_it_is_made(cluster: Cluster, tmp_path: Path) -> None:
    name = f"later-{time.time_ns()}"
    there = cluster.make()
    with listening(tmp_path, cluster.url(there, name), connected=False) as heard:
        until(lambda: f"there is no topic {name}" in str(heard.source.trouble))
        cluster.make(name)
        cluster.send(name, [event(1)])
        heard.wait(1)
        until(lambda: heard.source.trouble is None)


def test_a_property_that_there_is_not_ends_the_run_with_its_name(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYWATCH_KAFKA_SASL_PASWORD", "secret")
    done = citywatch("run", cluster.url("t"), "--data", tmp_path / "data")
    assert done.returncode == 2
    assert "sasl.pasword" in done.stderr
    assert "secret" not in done.stderr
