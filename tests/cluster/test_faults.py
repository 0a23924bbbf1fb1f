"""Faults, each with traffic before, while and after: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from citywatch.errors import SourceError
from deploy.servers.kafka_server import Kafka
from deploy.servers.server import free_ports
from tests.cluster.listening import listening, refused, stored
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster, by_device
from tests.mqtt.broker import until

pytestmark = pytest.mark.cluster


def ids(data: Path) -> list[int]:
    """Ids of all events, in order of number."""
    return sorted(int(str(row[0])) for row in stored(data))


class Traffic:
    """Numbered events, a few at a time, until the block ends."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.sent = 0
        self._cluster, self._topic = cluster, topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, by: int = 20) -> None:
        """Wait until so many more are sent."""
        wanted = self.sent + by
        until(lambda: self.sent >= wanted)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._cluster.send(self._topic, [event(self.sent + n) for n in range(5)], key=by_device)
            self.sent += 5


def test_a_partition_that_is_added_is_read_from_its_first_message(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.make()
    with listening(tmp_path, cluster.url(name, from_="latest")) as heard, Traffic(cluster, name) as traffic:
        until(lambda: len(ids(tmp_path)) >= 20)
        cluster.grow(name, 3)
        until(lambda: set(heard.source.parts() or {}) == {f"{name}/{number}" for number in range(3)})
        traffic.more(40)
        traffic.__exit__()
        heard.wait(traffic.sent)
        assert heard.engine.status()["counts"]["backfill"] == 0
        assert all(cluster.end(name, number) > 0 for number in range(3)), "each partition has messages"
    assert ids(tmp_path) == list(range(traffic.sent))


def test_readers_that_share_a_group_take_over_from_each_other_without_loss_or_doubling(
    cluster: Cluster, tmp_path: Path
) -> None:
    name = cluster.make(partitions=4)
    address = cluster.url(name, group=f"shared-{name}")
    one, other = tmp_path / "one", tmp_path / "other"
    with listening(one, address) as first, Traffic(cluster, name) as traffic:
        until(lambda: len(ids(one)) >= 20)
        with listening(other, address) as second:
            until(lambda: len(first.source.parts() or {}) == len(second.source.parts() or {}) == 2)
            traffic.more(60)
            until(lambda: len(ids(other)) >= 20)
        # The second has gone without a word, as members with a name do: it is waited for, then given up.
        until(lambda: len(first.source.parts() or {}) == 4)
        traffic.more(20)
        traffic.__exit__()
        until(lambda: len(ids(one)) + len(ids(other)) >= traffic.sent, within=60)
        until(lambda: first.waiting() == 0)
    assert sorted(ids(one) + ids(other)) == list(range(traffic.sent))


@contextmanager
def own_broker(directory: Path, *properties: str) -> Iterator[Kafka]:
    with Kafka(directory / "kafka", properties=properties) as broker:
        yield broker


def test_a_broker_that_is_stopped_and_started_is_trouble_and_no_loss(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with own_broker(tmp_path) as broker:
        cluster = Cluster(broker.address)
        name = cluster.make(partitions=2)
        with listening(data, cluster.url(name)) as heard:
            cluster.send(name, [event(n) for n in range(50)], key=by_device)
            heard.wait(50)
            broker.stop()
            until(lambda: "cannot be reached" in str(heard.source.trouble))
            assert all(not part.ended for part in (heard.source.parts() or {}).values()), "the clock waits"
            clock = heard.engine.status()["clock"]
            time.sleep(1)
            assert heard.engine.status()["clock"] == clock
            broker.start()
            cluster.send(name, [event(n) for n in range(50, 80)], key=by_device)
            heard.wait(80)
            until(lambda: heard.source.trouble is None)
            until(lambda: heard.engine.status()["clock"] > clock + 1_000_000)
            assert heard.engine.status()["counts"]["duplicates"] == 0
    assert ids(data) == list(range(80))


USERS = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_reader="%s";'


def test_tls_and_a_password_from_a_file_let_one_in_and_a_wrong_one_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    for_java = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "server.pem").write_bytes(for_java + b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "password").write_text("s3cret\n")
    client = tmp_path / "kafka.properties"
    lines = ["security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "sasl.username=reader"]
    client.write_text("\n".join(["# who we are", *lines, f"ssl.ca.location={tmp_path}/ca.pem"]))
    monkeypatch.setenv("CITYWATCH_KAFKA_CONFIG", str(client))
    with secured_broker(tmp_path) as (broker, port):
        cluster = Cluster(broker.address)
        name = cluster.make()
        cluster.send(name, [event(n) for n in range(5)])
        address = f"kafka://127.0.0.1:{port}/{name}"
        with monkeypatch.context() as wrong:
            wrong.setenv("CITYWATCH_KAFKA_SASL_PASSWORD", "guessed")
            with pytest.raises(SourceError, match=r"(?i)authentication.*sasl\.password") as raised:
                _read(tmp_path / "wrong", address, 5)
            assert "guessed" not in str(raised.value)
        monkeypatch.setenv("CITYWATCH_KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "password"))
        _read(tmp_path / "right", address, 5)
        client.write_text("\n".join(lines))  # nobody vouches for the broker any more
        with pytest.raises(SourceError, match=r"certificate verify failed.*ssl\.ca\.location"):
            _read(tmp_path / "stranger", address, 5)


def _read(data: Path, address: str, count: int) -> None:
    with listening(data, address) as heard:
        heard.wait(count)
    assert ids(data) == list(range(count))
    assert refused(data) == []


@contextmanager
def secured_broker(directory: Path) -> Iterator[tuple[Kafka, int]]:
    """A broker with a second listener that wants TLS and a password; and that listener's port."""
    (port,) = free_ports(1)
    kafka = Kafka(directory / "kafka")
    plain, controller = f"127.0.0.1:{kafka.port}", "CONTROLLER"
    secured = [
        f"listeners=PLAINTEXT://{plain},SECURE://127.0.0.1:{port},{controller}://127.0.0.1:{kafka.controller_port}",
        f"advertised.listeners=PLAINTEXT://{plain},SECURE://127.0.0.1:{port}",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
        "sasl.enabled.mechanisms=PLAIN",
        f"listener.name.secure.plain.sasl.jaas.config={USERS % 's3cret'}",
        "listener.name.secure.ssl.keystore.type=PEM",
        f"listener.name.secure.ssl.keystore.location={directory}/server.pem",
    ]
    kafka.properties = secured
    with kafka:
        yield kafka, port
