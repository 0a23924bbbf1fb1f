"""What stands in the images: how they make a server of an environment."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from deploy.servers.cassandra_server import Cassandra
from deploy.servers.jars import HERE, jars, java
from deploy.servers.postgresql_server import OWNER, Postgresql, programs
from tests.cluster.airflow.scheduler import synced
from tests.cluster.compose.container import Container
from tests.cluster.compose.layout import SERVICES, Layout

_KAFKA = """#!/bin/sh
# /etc/kafka/docker/run of the image: configuration of the environment, a cluster of its own, the server.
set -eu
export CLUSTER_ID=5L6g3nShT-eMCtK--X86sw
mkdir -p {home}/default {home}/mounted {home}/final
touch {home}/default/server.properties {home}/default/log4j2.yaml {home}/default/tools-log4j2.yaml
{java} kafka.docker.KafkaDockerWrapper setup --default-configs-dir {home}/default --mounted-configs-dir {home}/mounted \
    --final-configs-dir {home}/final
exec {java} $KAFKA_HEAP_OPTS kafka.Kafka {home}/final/server.properties
"""

_HDFS = """#!/bin/sh
# bin/hdfs of the image: the class that a command stands for, with the configuration of the container.
case $1 in
namenode) class=hdfs.server.namenode.NameNode ;;
datanode) class=hdfs.server.datanode.DataNode ;;
dfsadmin) class=hdfs.tools.DFSAdmin ;;
dfs) class=fs.FsShell ;;
esac
shift
exec {java} -Xmx${{HADOOP_HEAPSIZE_MAX:-128m}} -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true \\
    -cp "$HADOOP_CONF_DIR:{home}:{jars}/*" "org.apache.hadoop.$class" "$@"
"""

_STARTER = """#!/bin/sh
# /opt/starter.sh of the image, once the configuration is made: a NameNode is formatted where it never was.
set -eu
[ -z "${ENSURE_NAMENODE_DIR:-}" ] || [ -d "$ENSURE_NAMENODE_DIR" ] || hdfs namenode -format -force
exec "$@"
"""

_CQLSH = """#!{python}
import os, sys
from cassandra.cluster import Cluster
Cluster(["{address}"], protocol_version=5).connect().execute(sys.argv[sys.argv.index("-e") + 1])
os._exit(0)
"""


def program(path: Path, text: str) -> None:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as asking:
        return not asking.connect_ex((host, port))


class Kafka(Container):
    """apache/kafka: its programs, and the script that it starts with."""

    def prepare(self) -> None:
        super().prepare()
        call = f"{java()} -Dlog4j2.configurationFile={HERE / 'kafka' / 'log4j2.properties'} -cp '{jars('kafka')}/*'"
        for name, main in (("topics", "TopicCommand"), ("broker-api-versions", "BrokerApiVersionsCommand")):
            text = f'#!/bin/sh\nexec {call} -Xmx128m org.apache.kafka.tools.{main} "$@"\n'
            program(self.layout.root / "kafka" / f"kafka-{name}.sh", text)
        program(self.layout.root / "kafka" / "run", _KAFKA.format(home=self.directory, java=call))

    def entrypoint(self) -> list[str]:
        return [str(self.layout.root / "kafka" / "run")]

    def ready(self) -> bool:
        """As the file says; asked only when somebody listens, for each question starts a Java."""
        return listens(self.layout.address(self.name), 9092) and super().ready()


class Node(Container):
    """cassandra: a node that asks nobody for a password, with a heap and a name of the environment."""

    def prepare(self) -> None:
        super().prepare()
        own, given = self.layout.address(self.name), self.layout.environment(self.name)
        self._server = Cassandra(self.layout.volume("cassandra"), port=9042)
        self._server.prepare()
        configuration = self.layout.volume("cassandra") / "cassandra.yaml"
        lines = configuration.read_text("utf-8").replace("127.0.0.1", own).splitlines()
        lines = [line for line in lines if not line.startswith(("auth", "cluster_name"))]
        configuration.write_text("\n".join([*lines, f"cluster_name: {given['CASSANDRA_CLUSTER_NAME']}", ""]), "utf-8")
        program(self.layout.root / "bin" / "cqlsh", _CQLSH.format(python=sys.executable, address=own))

    def words(self) -> list[str]:
        heap = f"-Xmx{self.layout.environment(self.name)['MAX_HEAP_SIZE']}"
        first, *rest = self._server.command()
        return [first, *rest[:1], heap, *rest[1:]]

    def ready(self) -> bool:
        """As for Kafka, though it is Python here."""
        return listens(self.layout.address(self.name), 9042) and super().ready()


class Hadoop(Container):
    """apache/hadoop: its command, and what it starts with: a configuration that is made of the environment."""

    def prepare(self) -> None:
        super().prepare()
        conf = Path(self.layout.environment(self.name)["HADOOP_CONF_DIR"])
        conf.mkdir(exist_ok=True)
        shutil.copy(HERE / "hdfs" / "log4j.properties", conf)
        for site in ("core-site.xml", "hdfs-site.xml"):
            ElementTree.ElementTree(self._configuration(f"{site.upper()}_")).write(conf / site)
        for page in ("hdfs", "datanode", "static"):  # they are no jars, and the nodes want them to be there
            (self.layout.root / "hadoop" / "webapps" / page).mkdir(parents=True, exist_ok=True)
        text = _HDFS.format(java=java(), home=self.layout.root / "hadoop", jars=jars("hdfs"))
        program(self.layout.root / "bin" / "hdfs", text)
        program(self.layout.root / "hadoop" / "starter.sh", _STARTER)

    def _configuration(self, prefix: str) -> ElementTree.Element:
        made = ElementTree.Element("configuration")
        for name, value in self.layout.environment(self.name).items():
            if name.startswith(prefix):
                one = ElementTree.SubElement(made, "property")
                ElementTree.SubElement(one, "name").text = name.removeprefix(prefix)
                ElementTree.SubElement(one, "value").text = value
        return made

    def entrypoint(self) -> list[str]:
        return [str(self.layout.root / "hadoop" / "starter.sh")]


class Database(Container):
    """postgres: a cluster that is made with the superuser's password of a file, and asks everybody for theirs."""

    def prepare(self) -> None:
        super().prepare()
        given, data = self.layout.environment(self.name), self.layout.volume("postgresql")
        secret = self.directory / "superuser"
        secret.write_text(Path(given["POSTGRES_PASSWORD_FILE"]).read_text("utf-8"), "utf-8")
        if Postgresql.as_owner():
            for path in (data, secret, self.directory):
                shutil.chown(path, OWNER)
        options = ["-U", OWNER, "--pwfile", str(secret), *shlex.split(given["POSTGRES_INITDB_ARGS"]), "--no-sync"]
        made = [*Postgresql.as_owner(), str(programs() / "initdb"), "-D", str(data), *options]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd="/")
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as file:
            file.write("host all all all scram-sha-256\n")

    def entrypoint(self) -> list[str]:
        listen = ["-h", self.layout.address(self.name), "-c", "unix_socket_directories="]
        return [*Postgresql.as_owner(), "postgres", "-D", str(self.layout.volume("postgresql")), *listen]


class Airflow(Container):
    """Ours, with the schedules: its entry point only hands on."""

    def prepare(self) -> None:
        super().prepare()
        synced()

    def entrypoint(self) -> list[str]:
        return []


_KINDS = {
    "apache/kafka": Kafka,
    "apache/hadoop": Hadoop,
    "cassandra": Node,
    "postgres": Database,
    "citywatch-airflow": Airflow,
}


def container(layout: Layout, name: str) -> Container:
    """A service with what its image starts, unless the file says what else to start in it."""
    kind = Container if "entrypoint" in SERVICES[name] else _KINDS.get(layout.image(name), Container)
    return kind(layout, name)
