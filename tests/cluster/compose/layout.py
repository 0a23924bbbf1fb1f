"""The services of deploy/compose.yaml without containers: their own commands, settings and health checks, from jars.

Each service gets an address of its own on loopback, as a container has one, so that ports stay what they are; names of
services become addresses, and paths of an image lie below a directory. What stands in an image is put in its place: the
script that makes Kafka's configuration of its environment is the image's own.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.servers.jars import jars
from deploy.servers.postgresql_server import programs
from deploy.servers.server import BRIEF, free_ports

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
HOME = "/var/lib/citywatch"


def image_environment(stage: str) -> dict[str, str]:
    """What a stage of the Dockerfile sets."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    body = re.split(r"^FROM ", text, flags=re.MULTILINE)
    (lines,) = (part for part in body if part.splitlines()[0].endswith(f"AS {stage}"))
    words = [word for line in re.findall(r"^ENV (.*)$", lines, re.MULTILINE) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words if not word.startswith("PATH="))


class Layout:
    """Where everything of the file is here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._net = 2 + os.getpid() % 250
        self._metrics, self._blocks = free_ports(2)  # what is served on 127.0.0.1 itself

    def address(self, service: str) -> str:
        """Of a service, as a container has one."""
        return f"127.{self._net}.0.{list(SERVICES).index(service) + 2}"

    def image(self, service: str) -> str:
        """Its name, without the version."""
        return str(SERVICES[service]["image"]).partition(":")[0]

    def home(self, service: str) -> Path:
        """What a container would find at /."""
        return self.root / "services" / service

    def volume(self, name: str) -> Path:
        """A named volume."""
        return self.root / "volumes" / name

    def here(self, service: str, text: str, *, value: bool = False) -> str:
        """A word of a command or of a health check, or the `value` of a variable, for this machine."""
        before = r"(?<=//)|(?<=@)|(?<=\s)" + ("|^" if value else "")
        text = re.sub(rf"(?:{before})({'|'.join(SERVICES)})(?=:\d|/|$)", lambda found: self.address(found[1]), text)
        text = re.sub(r"127\.0\.0\.1:9100\b", f"127.0.0.1:{self._metrics}", text).replace("=9100", f"={self._metrics}")
        text = re.sub(r"0\.0\.0\.0|localhost|127\.0\.0\.1(?=:80)|(?<=//)(?=:\d)", self.address(service), text)
        places = self._places(service)
        known = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
        text = re.sub(rf"(?:(?<![\w/.])|(?<=:///))({known})(?![\w-])", lambda found: str(places[found[1]]), text)
        return text.replace("$$", "$")

    def _places(self, service: str) -> dict[str, Path]:
        found: dict[str, Path] = {"/run/secrets": self.root / "secrets", "/opt/citywatch/bin": BIN}
        found |= {
            "/opt/airflow": DEPLOY / "airflow",
            "/opt/kafka/bin": self.root / "kafka",
            "/opt/hadoop/etc/hadoop": self.home(service) / "conf",
            "/opt/spark-jars": jars("spark"),
        }
        found |= {"/tmp": self.home(service) / "tmp", "/proc": self.home(service) / "proc"}
        for volume in SERVICES[service].get("volumes", []):
            source, path = volume.split(":")[:2]
            found[path] = DEPLOY / source if source.startswith(".") else self.volume(source)
        return found

    def environment(self, service: str) -> dict[str, str]:
        """What a process of a service finds in its environment."""
        path = f"{self.root / 'bin'}:{BIN}:{programs()}:{os.environ['PATH']}"
        given = dict(SERVICES[service].get("environment", {}))
        if self.image(service) == "postgres":
            given = {"PGHOST": self.address(service), **given}  # there it is found by a socket in the image
        if self.image(service) == "apache/hadoop":
            given = {"HADOOP_CONF_DIR": "/opt/hadoop/etc/hadoop", **given, **self._datanode()}
        if self.image(service).startswith("citywatch"):
            given = {**image_environment("citywatch"), **given}
        if self.image(service) == "citywatch-airflow":
            given = {**image_environment("airflow"), **given, **self._airflow(service)}
            path = f"{DEPLOY}/airflow/.venv/bin:{path}"
        here = {name: self.here(service, str(value), value=True) for name, value in given.items()}
        own = {"HOME": str(self.home(service) / HOME[1:]), "TMPDIR": str(self.home(service) / "tmp"), "LANG": "C.UTF-8"}
        java = {"JDK_JAVA_OPTIONS": BRIEF, **{n: os.environ[n] for n in ("JAVA_HOME",) if n in os.environ}}
        return {**own, **java, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **here}

    def _datanode(self) -> dict[str, str]:
        """Clients are sent to where the DataNode called from: on loopback that is 127.0.0.1, whoever calls."""
        return {"HDFS-SITE.XML_dfs.datanode.address": f"127.0.0.1:{self._blocks}"}

    def _airflow(self, service: str) -> dict[str, str]:
        """Where it serves what it serves everywhere in a container."""
        own, (first, second) = self.address(service), free_ports(2)
        logs = {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": first, "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": second}
        api = {"AIRFLOW__API__HOST": own, "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{own}:8080/execution/"}
        return {**api, **{name: str(port) for name, port in logs.items()}}
