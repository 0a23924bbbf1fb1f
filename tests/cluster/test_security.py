"""A broker that wants TLS and a password, and allows each user what it was given: by the commands of the docs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from citywatch.cli.cluster import cluster as connections
from citywatch.cli.finding import Finding
from citywatch.errors import SourceError
from deploy.servers.kafka_server import Kafka
from deploy.servers.server import free_port
from tests.cluster.listening import listening, refused, stored
from tests.cluster.running import citywatch
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster

pytestmark = pytest.mark.cluster

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-on-kafka.md"
TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
}
_LOGIN = "org.apache.kafka.common.security"


@pytest.fixture(autouse=True)
def from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CITYWATCH_KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, int, Path]]:
    """A broker, its port for those with a password, and the directory with what clients need."""
    directory = tmp_path_factory.mktemp("secured")
    with secured_broker(directory) as (broker, port):
        yield broker, port, directory


def test_tls_and_a_password_from_a_file_let_one_in_and_a_wrong_one_says_what_to_do(
    secured: tuple[Kafka, int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, port, directory = secured
    cluster = Cluster(broker.address)
    name = cluster.make()
    cluster.send(name, [event(n) for n in range(5)])
    client = properties(directory, "admin", "PLAIN")
    monkeypatch.setenv("CITYWATCH_KAFKA_CONFIG", str(client))
    address = f"kafka://127.0.0.1:{port}/{name}"
    with monkeypatch.context() as wrong:
        wrong.setenv("CITYWATCH_KAFKA_SASL_PASSWORD", "guessed")
        with pytest.raises(SourceError, match=r"(?i)authentication.*sasl\.password") as raised:
            _read(tmp_path / "wrong", address, 5)
        assert "guessed" not in str(raised.value)
    monkeypatch.setenv("CITYWATCH_KAFKA_SASL_PASSWORD_FILE", str(directory / "password"))
    _read(tmp_path / "right", address, 5)
    lines = [line for line in client.read_text().splitlines() if "ssl.ca" not in line]
    client.write_text("\n".join(lines))  # nobody vouches for the broker any more
    with pytest.raises(SourceError, match=r"certificate verify failed.*ssl\.ca\.location"):
        _read(tmp_path / "stranger", address, 5)


def test_the_commands_of_the_docs_give_each_user_what_it_needs_and_no_more(
    secured: tuple[Kafka, int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, port, directory = secured
    monkeypatch.setenv("CITYWATCH_KAFKA_SASL_PASSWORD_FILE", str(directory / "password"))
    events = directory / "events.ndjson"
    events.write_text("".join(f"{event(n)}\n" for n in range(20)))
    commands = _commands(directory, port)
    topics = [command for command in commands if command[0] == "kafka-topics"]
    users = [command for command in commands if command[0] == "kafka-configs"]
    rights = [command for command in commands if command[0] == "kafka-acls"]
    _run_all(broker, [*topics, *users], directory)

    reader, devices = properties(directory, "citywatch"), properties(directory, "devices")
    at = f"kafka://127.0.0.1:{port}"
    base, rejected = f"{at}/citywatch.events?config=", f"{at}/citywatch.rejected?config="
    running = f"{base}{reader}&write=citywatch.alerts,citywatch.rejected"
    on_spark = f"{rejected}{reader}&group=spark-kafka-source-1"
    lacking = [*_lacking(directory, running), *_lacking(directory, on_spark)]
    assert sorted(finding.next for finding in lacking) == sorted(_said(rights, "User:citywatch"))
    assert {what for finding in lacking for what in re.findall("may not [a-z]+ the [a-z]+", finding.what)} == {
        "may not read the topic", "may not write the topic", "may not read the group",
    }  # fmt: skip
    (own,) = [finding for finding in _lacking(directory, f"{running}&group=night") if "group" in finding.what]
    assert own.next.endswith("--operation Read --group night"), "a group that a person named is not ours to widen"
    _run_all(broker, rights, directory)
    assert [*_lacking(directory, running), *_lacking(directory, on_spark)] == []

    denied = citywatch("send", events, "--to", f"{base}{reader}", "--again")
    assert denied.returncode == 1, "who reads events may write none"
    assert "authorization" in denied.stderr.lower()
    sent = citywatch("send", events, "--to", f"{base}{devices}", "--again")
    assert sent.returncode == 0, sent.stderr
    _read(directory / "data", f"{base}{reader}", 20)
    with pytest.raises(SourceError, match=r"(?i)authorization.*kafka-acls"):
        _read(directory / "none", f"{base}{devices}", 20)
    _reject(directory, f"{rejected}{reader}", f"{base}{devices}")
    (closed,) = _lacking(directory, f"{rejected}{devices}&group=citywatch-devices")[:1]
    assert "may not read the topic citywatch.rejected" in closed.what
    _notify(directory, reader, port)
    console = properties(directory, "console")
    (bad,) = _lacking(directory, f"kafka://127.0.0.1:{port}/citywatch.events?config={console}&group=citywatch-console")
    assert "may not read the topic citywatch.events" in bad.what
    heard = f"kafka://127.0.0.1:{port}/citywatch.alerts?config={console}"
    assert _lacking(directory, f"{heard}&group=citywatch-console&write=citywatch.events") == []
    told = citywatch("alerts", "tail", "--from", heard, "--once", "--format", "ndjson")
    assert told.returncode == 0, told.stderr
    assert '"test":true' in told.stdout


def _reject(directory: Path, topic: str, mended: str) -> None:
    """A record that cannot be read goes to its topic, and from there, when it can, to that of events."""
    (directory / "old.ndjson").write_bytes(event(20).replace('"s"', '"café"').encode("cp1252") + b"\n")
    data = ("--data", directory / "rejecting")
    run = citywatch("run", directory / "old.ndjson", "--once", *data, "--rejected-to", topic)
    assert run.returncode == 0, run.stderr
    replayed = citywatch("rejected", "replay", "--encoding", "cp1252", "--from", topic, "--to", mended, *data)
    assert json.loads(replayed.stdout or "{}").get("sent") == 1, replayed.stderr


def _notify(directory: Path, config: Path, port: int) -> None:
    """A notifier of the same user writes to the topic of alerts."""
    data = directory / "data"
    (data / "kafka.properties").write_bytes(config.read_bytes())
    servers = f"servers: '127.0.0.1:{port}', config: kafka.properties"
    routes = f"notifiers:\n  log: {{type: kafka, {servers}}}\nroutes:\n  - {{name: everything, to: log}}\n"
    (data / "routes.yaml").write_text(routes)
    done = citywatch("notify", "test", "log", "--data", data)
    assert done.returncode == 0, done.stderr


def _lacking(data: Path, address: str) -> list[Finding]:
    (data / "citywatch.toml").write_text(f'cluster = "{address}"\n')
    return [finding for finding in connections(data) if finding.state == "bad"]


def _commands(directory: Path, port: int) -> list[list[str]]:
    """Those of the docs that are for a secured broker, at this one."""
    (directory / "admin.properties").write_text(
        "\n".join(
            [
                "security.protocol=SASL_SSL",
                "sasl.mechanism=PLAIN",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={directory}/ca.pem",
                f'sasl.jaas.config={_LOGIN}.plain.PlainLoginModule required username="admin" password="s3cret";',
            ]
        )
    )
    for user in ("citywatch", "devices", "console"):
        (directory / f"{user}.scram").write_text("SCRAM-SHA-512=password=s3cret\n")
    at = f"--bootstrap-server 127.0.0.1:{port} --command-config {directory}/admin.properties"
    lines = [line.strip() for line in DOCS.read_text("utf-8").splitlines() if "$KAFKA" in line and line[:4] == "    "]
    assert len(lines) > 10
    return [shlex.split(line.replace("$KAFKA", at)) for line in lines]


def _said(commands: list[list[str]], principal: str) -> list[str]:
    """The commands as the docs have them, of those that are for a user; one for each right that they give."""
    return [
        " ".join([command[0], "$KAFKA", *command[5:first], *command[place : place + 2], *command[last:]])
        for command in commands
        if principal in command
        for places in [[n for n, word in enumerate(command) if word in ("--topic", "--group")]]
        for first, last in [(places[0], places[-1] + 2)]
        for place in places
    ]


def _run_all(broker: Kafka, commands: list[list[str]], directory: Path) -> None:
    """Two at a time: each is a Java of its own, and none needs another."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: _run(broker, command, directory), commands))


def _run(broker: Kafka, command: list[str], directory: Path) -> None:
    tool = [*broker.java(), TOOLS[command[0]], *command[1:]]
    done = subprocess.run(tool, cwd=directory, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _read(data: Path, address: str, count: int) -> None:
    with listening(data, address) as heard:
        heard.wait(count)
    assert sorted(int(str(row[0])) for row in stored(data)) == list(range(count))
    assert refused(data) == []


def properties(directory: Path, user: str, mechanism: str = "SCRAM-SHA-512") -> Path:
    """A client's file, as the docs have it."""
    file = directory / f"{user}.properties"
    lines = ["# who we are", "security.protocol=SASL_SSL", f"ssl.ca.location={directory}/ca.pem"]
    file.write_text("\n".join([*lines, f"sasl.mechanism={mechanism}", f"sasl.username={user}"]))
    return file


@contextmanager
def secured_broker(directory: Path) -> Iterator[tuple[Kafka, int]]:
    """A broker with an authorizer, and a second listener that wants TLS and a password; and that listener's port.

    Who comes by the first listener may do everything, as `admin` may. The password of all is `s3cret`.
    """
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    for_java = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(for_java + b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    (directory / "password").write_text("s3cret\n")
    port = free_port()
    kafka = Kafka(directory / "kafka")
    plain, controller = f"127.0.0.1:{kafka.port}", "CONTROLLER"
    listener = "listener.name.secure"
    kafka.properties = [
        f"listeners=PLAINTEXT://{plain},SECURE://127.0.0.1:{port},{controller}://127.0.0.1:{kafka.controller_port}",
        f"advertised.listeners=PLAINTEXT://{plain},SECURE://127.0.0.1:{port}",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
        f'{listener}.plain.sasl.jaas.config={_LOGIN}.plain.PlainLoginModule required user_admin="s3cret";',
        f"{listener}.scram-sha-512.sasl.jaas.config={_LOGIN}.scram.ScramLoginModule required;",
        f"{listener}.ssl.keystore.type=PEM",
        f"{listener}.ssl.keystore.location={directory}/server.pem",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:admin;User:ANONYMOUS",
    ]
    with kafka:
        yield kafka, port
