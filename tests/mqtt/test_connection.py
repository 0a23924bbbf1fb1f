"""Reaching the broker: names, passwords, certificates, and what is said when it does not work."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest
import trustme
from paho.mqtt.client import DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from citywatch.errors import SourceError
from tests.mqtt.broker import Broker, program
from tests.mqtt.conftest import Reader


@pytest.fixture
def guarded(tmp_path: Path) -> Broker:
    """A broker that wants to know who comes: anna, whose password is secret. Not started."""
    passwords = tmp_path / "passwords"
    subprocess.run([program("mosquitto_passwd"), "-b", "-c", passwords, "anna", "secret"], check=True, timeout=30)
    return Broker(tmp_path, f"password_file {passwords}")


def test_the_password_comes_from_the_environment_or_a_file(
    tmp_path: Path, guarded: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n", "utf-8")
    with guarded:
        monkeypatch.setenv("CITYWATCH_MQTT_PASSWORD", "secret")
        for address in (guarded.address("t", user="anna"), guarded.address("t", f"password-file={file}", user="anna")):
            reader = Reader(address)
            reader.wait()
            reader.close()
            monkeypatch.setenv("CITYWATCH_MQTT_PASSWORD", "wrong")
        monkeypatch.delenv("CITYWATCH_MQTT_PASSWORD")
        monkeypatch.setenv("CITYWATCH_MQTT_PASSWORD_FILE", str(file))
        reader = Reader(guarded.address("t", user="anna"))
        reader.wait()
        reader.close()


@pytest.mark.parametrize("user", ["", "anna"])
def test_a_wrong_password_is_said_at_once(guarded: Broker, user: str) -> None:
    with guarded, pytest.raises(SourceError, match=r"refuses the connection: Not authorized.*CITYWATCH_MQTT_PASSWORD"):
        Reader(guarded.address("t", user=user)).wait()


def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    reader = Reader(broker.address("t"))
    reader.wait(lambda: "Connection refused" in str(reader.source.trouble))
    with broker:
        reader.wait()
        broker.publish("t", ["1"])
        reader.wait(lambda: reader.payloads == [b"1"])
        reader.close()


def test_a_host_that_there_is_not_is_named() -> None:
    reader = Reader("mqtt://nowhere.invalid/t")
    reader.wait(lambda: "nowhere.invalid:1883 cannot be reached: " in str(reader.source.trouble))
    reader.close()


def test_a_broker_that_was_killed_and_remembers_nothing_is_read_again(broker: Broker) -> None:
    reader = Reader(broker.address("t"))
    reader.wait()
    broker.stop(signal.SIGKILL)
    broker.start()
    reader.wait()
    reader.wait(lambda: _heard(broker, reader))
    reader.close()


def _heard(broker: Broker, reader: Reader) -> bool:
    broker.publish("t", ["again"])
    return bool(reader.payloads)


def test_two_readers_of_the_same_name_are_told_of_each_other(broker: Broker) -> None:
    readers = [Reader(broker.address("t", "client=same")) for _ in range(2)]
    said = [False, False]

    def both() -> bool:
        for number, reader in enumerate(readers):
            said[number] |= "another program may come to it as 'same' (two readers" in str(reader.source.trouble)
        return all(said)

    readers[0].wait(both)
    for reader in readers:
        reader.close()


def test_a_broker_that_says_whose_session_it_was_ends_the_reader(broker: Broker) -> None:
    # This broker does not say so; others do.
    reader = Reader(broker.address("t", "client=same"))
    reader.wait()
    flags, reason = DisconnectFlags(True), ReasonCode(PacketTypes.DISCONNECT, "Session taken over")
    reader.source._session._disconnected(reader.source._session._client, None, flags, reason, None)
    with pytest.raises(SourceError, match=r"another program has come to .* as 'same' \(.*client=NAME\)"):
        reader.wait(lambda: False)
    reader.close()


def test_readers_of_several_topics_do_not_disturb_each_other(broker: Broker) -> None:
    readers = [Reader(broker.address(topic)) for topic in ("a", "b/+", "#")]
    for reader in readers:
        reader.wait()
    broker.publish("b/x", ["1"])
    readers[0].wait(lambda: all(reader.payloads == [b"1"] for reader in readers[1:]))
    assert readers[0].payloads == []
    for reader in readers:
        reader.close()


def test_an_encrypted_connection_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    with _encrypted(tmp_path) as broker:
        reader = Reader(broker.address("t", f"ca={tmp_path}/ca.pem", scheme="mqtts"))
        reader.wait()
        reader.close()
        with pytest.raises(SourceError, match="cannot use the certificates"):
            Reader(broker.address("t", f"ca={tmp_path}/mosquitto.conf", scheme="mqtts"))


def _encrypted(tmp_path: Path) -> Broker:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "key.pem").chmod(0o600)
    return Broker(tmp_path, listener=f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem")


# A connection that is not trusted is left to be collected by paho, open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_nobody_vouches_for_is_not_trusted(tmp_path: Path) -> None:
    with _encrypted(tmp_path) as broker:
        stranger = Reader(broker.address("t", "client=stranger", scheme="mqtts"))
        stranger.wait(lambda: "certificate verify failed" in str(stranger.source.trouble))
        stranger.close()


def test_a_fault_while_reading_ends_the_reader(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(broker.address("t"))
    reader.wait()

    def fault(*_: object) -> None:
        raise RuntimeError("no more threads")

    monkeypatch.setattr(reader.source._session._client, "on_message", fault)
    broker.publish("t", ["1"])
    with pytest.raises(SourceError, match=r"reading stopped: RuntimeError.*no more threads"):
        reader.wait(lambda: False)
    reader.close()


def test_what_does_not_answer_as_a_broker_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = Reader(f"mqtt://127.0.0.1:{listener.getsockname()[1]}/t")
        listener.accept()[0].close()
        reader.wait(lambda: "has to speak MQTT 5" in str(reader.source.trouble))
        reader.close()
