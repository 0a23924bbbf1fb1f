"""Each message once: while citywatch is away, while the broker is, and when either is killed in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from citywatch.engine.embedded.intake import Intake
from tests.mqtt.broker import Broker, until
from tests.mqtt.conftest import Reader, ids, listening, refused
from tests.mqtt.messages import tracked

SESSION = ("client=test", "expiry=1h")


def expected(count: int) -> list[str]:
    return [f"o{number}-new" for number in range(count)]


def test_what_comes_while_citywatch_is_away_arrives_once_when_it_is_back(tmp_path: Path, broker: Broker) -> None:
    data, address = tmp_path / "data", broker.address("frigate/events", *SESSION)
    with listening(data, address):
        broker.publish("frigate/events", [tracked(n) for n in range(3)])
        until(lambda: len(ids(data)) == 3)
    broker.publish("frigate/events", [tracked(n) for n in range(3, 40)])
    with listening(data, address):
        until(lambda: len(ids(data)) == 40)
        broker.publish("frigate/events", [tracked(40)])
        until(lambda: len(ids(data)) == 41)
    assert ids(data) == expected(41)


def test_what_is_not_committed_is_sent_again_and_what_is_committed_is_not(broker: Broker) -> None:
    address = broker.address("t", *SESSION)
    first = Reader(address)
    first.wait()
    broker.publish("t", ["1", "2"])
    first.wait(lambda: first.payloads == [b"1", b"2"])
    first.close()

    second = Reader(address)
    second.wait(lambda: second.payloads == [b"1", b"2"])
    second.source.committed(second.chunks)
    broker.publish("t", ["3"])
    second.wait(lambda: second.payloads == [b"1", b"2", b"3"])
    second.close()

    third = Reader(address)
    third.wait(lambda: third.payloads == [b"3"])
    third.source.committed(third.chunks)
    third.close()


def test_nothing_is_acknowledged_before_the_commit(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_commit, commit = threading.Event(), Intake.commit
    sent: list[int] = []

    def waiting(intake: Intake, submissions: object) -> object:
        may_commit.wait(30)
        return commit(intake, submissions)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(Intake, "commit", waiting)
    with listening(tmp_path / "data", broker.address("frigate/events", *SESSION)) as source:
        client = source._session._client
        ack = client.ack

        def noted(packet: int, qos: int) -> object:
            sent.append(packet)
            return ack(packet, qos)

        monkeypatch.setattr(client, "ack", noted)
        broker.publish("frigate/events", [tracked(0)])
        until(lambda: source._given)
        assert not sent
        may_commit.set()
        until(lambda: sent)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_before_or_after_its_commit_it_loses_and_doubles_nothing(
    tmp_path: Path, broker: Broker, moment: str
) -> None:
    data, address = tmp_path / "data", broker.address("frigate/events", *SESSION)
    with listening(data, address):
        pass
    broker.publish("frigate/events", [tracked(n) for n in range(60)])
    for commit in (1, 2):
        command = [sys.executable, "-m", "tests.mqtt.crash", moment, str(commit), address, str(data)]
        assert subprocess.run(command, timeout=120, check=False, capture_output=True).returncode == -9
        broker.publish("frigate/events", [tracked(59 + commit)])
    with listening(data, address):
        until(lambda: len(ids(data)) == 62)
        broker.publish("frigate/events", [tracked(62)])
        until(lambda: len(ids(data)) == 63)
    assert ids(data) == expected(63)


def test_a_broker_that_is_restarted_sends_what_it_kept(tmp_path: Path, broker: Broker) -> None:
    data, address = tmp_path / "data", broker.address("frigate/events", *SESSION)
    with listening(data, address) as source:
        broker.publish("frigate/events", [tracked(0)])
        until(lambda: len(ids(data)) == 1)
        broker.stop()
        until(lambda: source.trouble)
        assert str(broker.port) in str(source.trouble)
        broker.start()
        until(lambda: source.trouble is None)
        broker.publish("frigate/events", [tracked(1)])
        until(lambda: len(ids(data)) == 2)
    assert ids(data) == expected(2)


def test_acknowledgements_of_a_lost_connection_do_not_reach_the_next_one(tmp_path: Path, broker: Broker) -> None:
    reader = Reader(broker.address("t", *SESSION))
    reader.wait()
    broker.publish("t", ["before"])
    reader.wait(lambda: reader.payloads == [b"before"])
    broker.stop()
    reader.wait(lambda: reader.source.trouble)
    broker.start()
    reader.wait(lambda: reader.payloads == [b"before", b"before"])
    # Only the first copy is committed; its acknowledgement belongs to a connection that is gone.
    reader.source.committed(1)
    reader.close()
    again = Reader(broker.address("t", *SESSION))
    again.wait(lambda: again.payloads == [b"before"])
    again.close()


def test_bad_messages_are_kept_with_their_reason_and_do_not_come_again(tmp_path: Path, broker: Broker) -> None:
    data, address = tmp_path / "data", broker.address("frigate/#", *SESSION)
    bad = [b"\xff\xfe", b"", b"online", b"[1]", b'{"unknown": 1}', b'{"type": "new", "before": {}, "after": {}}']
    with listening(data, address):
        broker.publish("frigate/available", bad)
        broker.publish("frigate/events", [tracked(0)])
        until(lambda: ids(data) == expected(1) and len(refused(data)) == len(bad))
    with listening(data, address):
        broker.publish("frigate/events", [tracked(1)])
        until(lambda: ids(data) == expected(2))
    assert len(refused(data)) == len(bad)
    reader = Reader(address)
    broker.publish("frigate/events", ["last"])
    reader.wait(lambda: reader.payloads == [b"last"])
    reader.close()


def test_a_message_of_17_million_bytes_is_refused_and_not_carried_along(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    with listening(data, broker.address("frigate/events")):
        broker.publish("frigate/events", [b'{"type": "' + b"n" * 17_000_000, tracked(0)])
        until(lambda: ids(data) == expected(1))
    ((reason, raw),) = refused(data)
    assert str(reason) == "longer than 16,777,216 bytes: 17,000,010"
    assert len(str(raw)) < 70_000


def test_the_same_message_again_is_the_same_event(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    status = '{"camera_id": "c1", "ts": 1767614400, "uptime_sec": 5, "storage_free_pct": 50, "temperature_c": 30}'
    with listening(data, broker.address("cctv")):
        broker.publish("cctv", [status, status, status.replace("5,", "6,", 1)])
        until(lambda: len(ids(data)) == 2)
    assert len(ids(data)) == 2


def test_messages_without_a_guarantee_are_read_as_well(tmp_path: Path, broker: Broker) -> None:
    data = tmp_path / "data"
    with listening(data, broker.address("frigate/events")):
        broker.publish("frigate/events", [tracked(0)], qos=0)
        until(lambda: ids(data) == expected(1))
