"""`citywatch doctor --cluster` on real servers: what is well, what is missing, what is not allowed, who is away."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from citywatch.cli import cluster_topics
from citywatch.cli.cassandra import cassandra as commands
from citywatch.cli.cluster import cluster
from citywatch.cli.doctor import _found
from citywatch.cli.finding import Finding
from citywatch.connections.postgresql import database_address
from citywatch.errors import UsageError
from citywatch.stores.cassandra.tables import keyspace_cql
from citywatch.stores.desk.server import Server
from deploy.servers.cassandra_server import ADMINISTRATOR
from deploy.servers.postgresql_server import Postgresql
from deploy.servers.server import free_port
from tests.cluster.cassandra.keyspaces import Keyspace, keyspace
from tests.cluster.running import COMMAND
from tests.cluster.servers import cassandra, hdfs, kafka, owner
from tests.cluster.topics import Cluster

pytestmark = pytest.mark.cluster

_numbers = count()


def looked(data: Path, *addresses: str) -> list[Finding]:
    (data / "citywatch.toml").write_text(f'cluster = "{" ".join(addresses)}"\n')
    return list(_found(cluster, data))


def only(found: list[Finding], state: str) -> Finding:
    """The one finding of that state."""
    (finding,) = (finding for finding in found if finding.state == state)
    return finding


def nobody() -> str:
    """A place where nobody listens."""
    return f"127.0.0.1:{free_port()}"


def test_without_addresses_it_says_where_they_go(tmp_path: Path) -> None:
    assert "citywatch.toml" in only(looked(tmp_path), "note").next


def test_who_is_away_is_bad_and_the_others_are_looked_at_all_the_same(tmp_path: Path) -> None:
    brokers = Cluster(kafka())
    topic = brokers.make()
    far = [f"{kind}://{nobody()}/there" for kind in ("postgresql", "cassandra", "hdfs", "kafka")]
    found = looked(tmp_path, *far, "gopher://x", f"kafka://{brokers.address}/{topic}")
    bad = [finding for finding in found if finding.state == "bad"]
    for finding, address in zip(bad, far, strict=False):
        assert address.split("/")[2] in finding.what
        assert finding.next
    assert "gopher" in bad[4].what
    assert len(bad) == 5
    assert any(topic in finding.what for finding in found if finding.state == "ok")


def test_wrong_properties_of_the_client_are_said_as_that_and_not_as_a_broker_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {
        "security.protocl=SSL": ("security.protocl", "Kafka's properties"),
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=p": (
            "SASL PLAIN mechanism handshake failed",
            "sasl.password",
        ),
    }
    for number, (lines, (what, then)) in enumerate(wrong.items()):
        (file := tmp_path / f"{number}.properties").write_text(lines)
        for seconds in (1.0, 5.0, 25.0):  # it asks again for as long as that: more is for slow machines
            monkeypatch.setattr(cluster_topics, "_WAIT_S", seconds)
            bad = only(looked(tmp_path, f"kafka://{kafka()}/t?config={file}"), "bad")
            if what in bad.what:
                break
        assert what in bad.what
        assert then in bad.next


def test_topics_are_looked_at_one_by_one(tmp_path: Path) -> None:
    brokers = Cluster(kafka())
    topic = brokers.make(partitions=3)
    found = looked(tmp_path, f"kafka://{brokers.address}/{topic},missing.topic")
    assert any(f"topic {topic}: 3 partitions" in finding.what for finding in found if finding.state == "ok")
    missing = only(found, "bad")
    assert missing.what.startswith("topic missing.topic is not there")
    assert "--create --topic missing.topic" in missing.next


def test_the_exit_code_says_that_something_has_to_be_mended(tmp_path: Path) -> None:
    (tmp_path / "citywatch.toml").write_text(f'cluster = "hdfs://{nobody()}/x"\n')
    asked = [*COMMAND, "doctor", "--cluster", "--data", str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "is that the address of its NameNode?" in done.stdout


class TestHdfs:
    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        place = f"{hdfs()}/tests/{owner()}-{tmp_path.name}"
        finding = only(looked(tmp_path, place), "bad")
        assert finding.what == f"{place} is not there"
        assert "-mkdir -p" in finding.next

    def test_one_that_this_user_may_write_and_one_where_it_may_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hdfs_native import Client

        path = f"/tests/{owner()}-{tmp_path.name}"
        admin = Client(hdfs())
        admin.mkdirs(path, 0o755, True)
        place = f"{hdfs()}{path}"
        found = looked(tmp_path, place)
        assert [finding.state for finding in found] == ["ok", "ok", "ok"]
        assert "written, read and removed" in found[1].what
        assert list(admin.list_status(path, True)) == []
        monkeypatch.setenv("HADOOP_USER_NAME", "stranger")
        finding = only(looked(tmp_path, place), "bad")
        assert "denied" in finding.what.lower()
        assert "HADOOP_USER_NAME" in finding.next


@pytest.fixture(scope="module")
def store() -> Iterator[Keyspace]:
    with keyspace(cassandra()) as made:
        yield made


class TestCassandra:
    @contextmanager
    def user(self, store: Keyspace, monkeypatch: pytest.MonkeyPatch, *rights: str) -> Iterator[str]:
        """The address of a new user with those rights."""
        name = f"user{next(_numbers)}_{store.address.keyspace}"
        store.session.execute(f"CREATE ROLE {name} WITH PASSWORD = 'secret' AND LOGIN = true")
        for right in rights:
            store.session.execute(f"GRANT {right.format(store.address.keyspace)} TO {name}")
        monkeypatch.setenv("CITYWATCH_CASSANDRA_PASSWORD", "secret")
        yield f"cassandra://{name}@{cassandra()}/{store.address.keyspace}"
        store.session.execute(f"DROP ROLE {name}")

    def test_a_user_with_the_rights_it_needs(
        self, store: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.user(store, monkeypatch, "SELECT ON KEYSPACE {}", "MODIFY ON KEYSPACE {}") as address:
            found = looked(tmp_path, address)
        assert {finding.state for finding in found} == {"ok"}
        assert any("may read all" in finding.what and "write all" in finding.what for finding in found)

    def test_a_user_who_may_only_read_and_one_who_may_nothing(
        self, store: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.user(store, monkeypatch, "SELECT ON {}.users") as address:
            found = looked(tmp_path, address)
        assert any(finding.what.endswith("may read users, write none") for finding in found)
        with self.user(store, monkeypatch) as address:
            finding = only(looked(tmp_path, address), "bad")
        assert "may read none" in finding.what
        assert "citywatch cassandra users" in finding.next

    def test_a_wrong_password(self, store: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with self.user(store, monkeypatch) as address:
            monkeypatch.setenv("CITYWATCH_CASSANDRA_PASSWORD", "another")
            finding = only(looked(tmp_path, address), "bad")
        assert "incorrect" in finding.what
        assert "CITYWATCH_CASSANDRA_PASSWORD_FILE" in finding.next
        assert "another" not in finding.what

    def test_more_copies_than_nodes(self, store: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CITYWATCH_CASSANDRA_PASSWORD", ADMINISTRATOR)
        at, keyspace = f"cassandra://{ADMINISTRATOR}@{cassandra()}", f"{store.address.keyspace}_thrice"
        made = CliRunner().invoke(commands, ["setup", f"{at}/{keyspace}"])
        assert isinstance(made.exception, UsageError)
        assert "--replication 1" in str(made.exception)
        for _ in range(2):
            assert CliRunner().invoke(commands, ["setup", "--replication", "1", f"{at}/{keyspace}"]).exit_code == 0
        other = CliRunner().invoke(commands, ["setup", "--replication", "1", f"{at}/{keyspace}?dc=datacenter1"])
        assert "keeps its copies otherwise" in str(other.exception)
        store.session.execute(keyspace_cql(keyspace, 3).replace("CREATE KEYSPACE IF NOT EXISTS", "ALTER KEYSPACE"))
        try:
            assert "too few nodes" in only(looked(tmp_path, f"{at}/{keyspace}"), "bad").next
        finally:
            store.session.execute(f"DROP KEYSPACE {keyspace}")

    def test_what_is_not_made_yet_and_a_superuser(
        self, store: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CITYWATCH_CASSANDRA_PASSWORD", ADMINISTRATOR)
        at = f"cassandra://{ADMINISTRATOR}@{cassandra()}"
        finding = only(looked(tmp_path, f"{at}/not_there"), "bad")
        assert finding.what == "keyspace not_there is not there"
        assert "citywatch cassandra setup" in finding.next
        store.session.execute(f"DROP TABLE {store.address.keyspace}.users")
        found = looked(tmp_path, f"{at}/{store.address.keyspace}")
        assert only(found, "bad").what.endswith("lacks users")
        assert "more than it needs" in only(found, "note").what


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    """With a user who has what a console needs, and one who has nothing."""
    home = tempfile.TemporaryDirectory(prefix="citywatch-postgresql-")
    with home as place, Postgresql(Path(place), passwords=True) as running:
        running.psql("CREATE ROLE console LOGIN PASSWORD 'secret'; CREATE ROLE stranger LOGIN PASSWORD 'secret'")
        made = Server(database_address(f"postgresql://postgres@{running.address}/postgres"), most=1)
        made.grant("console")
        made.close()
        yield running


class TestPostgresql:
    @pytest.fixture(autouse=True)
    def password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        file = tmp_path / "password"
        file.write_text("secret\n")
        monkeypatch.setenv("CITYWATCH_DATABASE_PASSWORD_FILE", str(file))
        return file

    def test_a_user_with_the_rights_it_needs(self, server: Postgresql, tmp_path: Path) -> None:
        found = looked(tmp_path, f"postgresql://console@{server.address}/postgres")
        assert "tables of people are not made" in only(found, "note").what
        assert any("may read and write what it needs" in finding.what for finding in found)

    def test_a_superuser_is_too_much(self, server: Postgresql, tmp_path: Path) -> None:
        found = looked(tmp_path, f"postgresql://postgres@{server.address}/postgres")
        assert any("it is a superuser" in finding.what for finding in found)

    def test_a_right_that_is_missing(self, server: Postgresql, tmp_path: Path) -> None:
        server.psql("REVOKE INSERT ON citywatch.facts FROM console")
        finding = only(looked(tmp_path, f"postgresql://console@{server.address}/postgres"), "bad")
        server.psql("GRANT INSERT ON citywatch.facts TO console")
        assert finding.what == "this user may not read and write facts"
        assert "--prepare" in finding.next

    def test_a_user_who_may_not_even_see_the_tables(self, server: Postgresql, tmp_path: Path) -> None:
        finding = only(looked(tmp_path, f"postgresql://stranger@{server.address}/postgres"), "bad")
        assert finding.what == "this user may not use the schema citywatch"

    def test_tables_that_are_not_made_are_not_made_by_looking(self, server: Postgresql, tmp_path: Path) -> None:
        address = f"postgresql://postgres@{server.address}/postgres?schema=another"
        assert "not made in the schema another" in only(looked(tmp_path, address), "bad").what
        assert server.psql("SELECT to_regnamespace('another') IS NULL").strip() == "t"

    def test_a_wrong_password_and_a_database_that_is_not_there(
        self, server: Postgresql, tmp_path: Path, password: Path
    ) -> None:
        finding = only(looked(tmp_path, f"postgresql://console@{server.address}/absent"), "bad")
        assert 'database "absent" does not exist' in finding.what
        password.write_text("another")
        finding = only(looked(tmp_path, f"postgresql://console@{server.address}/postgres"), "bad")
        assert "password authentication failed" in finding.what
        assert "CITYWATCH_DATABASE_PASSWORD_FILE" in finding.next

    def test_tables_of_another_version(self, server: Postgresql, tmp_path: Path) -> None:
        version = server.psql("SELECT number FROM citywatch.version").strip()
        server.psql("UPDATE citywatch.version SET number = 99")
        found = looked(tmp_path, f"postgresql://console@{server.address}/postgres")
        server.psql(f"UPDATE citywatch.version SET number = {version}")
        assert "version 99" in only(found, "bad").what
