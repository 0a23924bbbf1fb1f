"""What `send`, `simulate` and the notifier write into topics, and what the older alarm says of it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from citywatch.connections.kafka.producing import Outgoing, Producing, UnwrittenError
from tests.cluster.listening import listening, stored
from tests.cluster.running import citywatch
from tests.cluster.servers import kafka
from tests.cluster.test_reading import OLDER, event
from tests.cluster.topics import Cluster
from tests.unit.notify.alerts import alert

pytestmark = pytest.mark.cluster

TICKETS = (
    "Summons Number,Plate ID,Registration State,Plate Type,Issue Date,Violation Code,Vehicle Body Type,Vehicle Make,"
    "Issuing Agency,Street Code1,Street Code2,Street Code3,Vehicle Expiration Date,Violation Location,"
    "Violation Precinct,Issuer Precinct,Issuer Code,Issuer Command,Issuer Squad,Violation Time,Time First Observed,"
    "Violation County,Violation In Front Of Or Opposite,House Number,Street Name,Intersecting Street,"
    "Date First Observed,Law Section,Sub Division,Violation Legal Code,Days Parking In Effect,From Hours In Effect,"
    "To Hours In Effect,Vehicle Color,Unregistered Vehicle?,Vehicle Year,Meter Number,Feet From Curb,"
    "Violation Post Code,Violation Description,No Standing or Stopping Violation,Hydrant Violation,"
    "Double Parking Violation"
)


def ticket(number: int, plate: str, day: str = "01/24/2017") -> str:
    cells = [str(number), plate, "NY", "PAS", day, "38", "SUBN", "FORD", *[""] * 11, "1003A", "", "NY", "F", "1316"]
    cells += ["Madison Ave"]
    return ",".join(cells + [""] * (TICKETS.count(",") + 1 - len(cells)))


def test_a_file_is_sent_once_by_device_without_its_bad_lines(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.make(partitions=3)
    file = tmp_path / "events.ndjson"
    good = [event(n) for n in range(40)]
    file.write_text("\n".join([*good, "no JSON", '{"specversion":"1.0","id":"x"}']) + "\n")
    done = citywatch("send", file, "--to", cluster.url(name))
    assert done.returncode == 0, done.stderr
    sent = cluster.messages(name)
    assert sorted(value for _, value in sent) == sorted(good)
    order = defaultdict(list)
    for key, value in sent:
        assert key == json.loads(value)["data"]["device_id"]
        order[key].append(int(json.loads(value)["id"]))
    assert all(ids == sorted(ids) for ids in order.values())
    kept = "".join(path.read_text() for path in tmp_path.glob("*") if path != file)
    assert "no JSON" in kept
    again = citywatch("send", file, "--to", cluster.url(name))
    assert again.returncode == 0
    assert len(cluster.messages(name)) == len(sent)


def test_a_topic_that_takes_little_at_once_gets_all_but_the_line_that_is_too_large_for_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make(max_message_bytes="4000", compression_type="uncompressed")
    good = [event(n) for n in range(300)]
    large = event(300, label="".join(map(str, range(2_000))))
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join([*good[:100], large, *good[100:]]) + "\n")
    done = citywatch("send", file, "--to", cluster.url(name))
    assert (done.returncode, done.stderr) == (0, "300 lines sent, 1 kept in events.rejected.csv\n")
    assert sorted(value for _, value in cluster.messages(name)) == sorted(good)


def test_rows_of_a_file_become_the_same_message_as_a_drones_and_the_same_events(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "tickets.csv"
    file.write_text(
        "\n".join([TICKETS, ticket(1, "GZH7067"), ticket(2, "ABC1", day="99/99/2017"), ticket(3, "K1")]) + "\n"
    )
    older, events = cluster.make(), cluster.make()
    for name, *more in ((older, "--as", "prestacop"), (events,)):
        done = citywatch("send", file, "--to", cluster.url(name), "--mapping", "nyc-tickets", "--again", *more)
        assert done.returncode == 0, done.stderr
    shapes = [json.loads(value) for value in cluster.values(older)]
    assert [(shape["plate_id"], shape["violation_code"], shape["time"]) for shape in shapes] == [
        ("GZH7067", "38", "01/24/2017 1003A"),
        ("K1", "38", "01/24/2017 1003A"),
    ]
    with listening(tmp_path / "data", cluster.url(events)) as heard:
        heard.wait(2)
    assert stored(tmp_path / "data", "source, id, plate") == [
        ("nyc/tickets", "1", "GZH7067"),
        ("nyc/tickets", "3", "K1"),
    ]


@pytest.mark.parametrize(
    ("shape", "key", "type_"), [("prestacop", "drone_id", "drone"), ("safety-watcher", "", "person")]
)
def test_a_simulated_city_is_written_in_the_shape_of_an_older_topic(
    cluster: Cluster, tmp_path: Path, shape: str, key: str, type_: str
) -> None:
    name = cluster.make(partitions=2)
    done = citywatch(
        "simulate", "city", "--as", shape, "--duration", "60s", "--speed", "1000", "--to", cluster.url(name)
    )
    assert done.returncode == 0, done.stderr
    sent = cluster.messages(name)
    assert f"{len(sent):,} messages written to {name}" in done.stderr
    assert len(sent) > 10
    if key:
        assert all(told == str(json.loads(value)[key]) for told, value in sent if told)
    with listening(tmp_path / "data", cluster.url(name, mapping=shape)) as heard:
        heard.wait(len({value for _, value in sent}))
    assert all(str(row[0]).startswith((type_, "ticket")) for row in stored(tmp_path / "data", "type"))


def test_a_topic_that_is_not_there_ends_what_writes_to_it_with_its_name(cluster: Cluster) -> None:
    done = citywatch("simulate", "city", "--duration", "1s", "--to", cluster.url("nowhere"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("command", ["send", "simulate", "tail"])
def test_a_property_that_there_is_not_ends_what_speaks_to_a_topic_with_its_name(command: str, tmp_path: Path) -> None:
    (config := tmp_path / "kafka.properties").write_text("security.protocl=SSL\n")
    (file := tmp_path / "events.ndjson").write_text(f"{event(1)}\n")
    to = f"kafka://{kafka()}/there?config={config}"
    asked = {
        "send": ["send", str(file), "--to", to, "--give-up", "20s"],
        "simulate": ["simulate", "drones", "--count", "1", "--to", to],
        "tail": ["alerts", "tail", "--from", to, "--once"],
    }
    done = citywatch(*asked[command])
    assert done.returncode == 2
    assert "security.protocl" in done.stderr
    assert "look at Kafka's properties" in done.stderr


def test_who_may_not_sign_in_hears_that_and_does_not_send_for_ever(cluster: Cluster) -> None:
    name = cluster.make()
    given = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    for patience in (1, 5, 25):  # it tries again for as long as that: more is for slow machines
        with pytest.raises(UnwrittenError) as raised:
            Producing(cluster.address, given, patience=patience).write(name, [Outgoing(None, b"{}")])
        if raised.value.lasting:
            break
    assert raised.value.lasting
    assert re.search(r"handshake failed(?!.*after)", str(raised.value))
    assert "sasl.password" in raised.value.hint


def test_the_older_alarm_begins_its_lines_with_the_older_sentence(cluster: Cluster) -> None:
    name = cluster.make()
    evidence = alert()["evidence"]
    person = alert(2, evidence=[{**evidence[0], "data": {"person_id": "Ada"}}], title="Somebody came thrice")
    messages = [OLDER % "10/21/2020 0309A", json.dumps(alert()), json.dumps(person), "no alert", '{"a": 1}']
    cluster.send(name, messages)
    done = citywatch("alerts", "tail", "--from", cluster.url(name), "--once")
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == (
        "Warning, vehicle VWWFHVR was caught committing offence 95 on 10/21/2020 0309A at address 907 W 91th St"
    )
    assert second.startswith("Warning, vehicle GZH7067 was caught committing offence ")
    assert second.endswith(alert()["id"][:8])
    assert "Somebody came thrice" in third
    assert "Warning" not in third
    assert "2 messages are no alerts" in done.stderr


def test_an_alarm_on_a_topic_that_is_not_there_says_so(cluster: Cluster) -> None:
    done = citywatch("alerts", "tail", "--from", cluster.url("nowhere"), "--once")
    assert done.returncode == 1
    assert "there is no topic nowhere" in done.stderr
