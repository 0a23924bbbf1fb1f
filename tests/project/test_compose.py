"""deploy/compose.yaml as far as it can be judged without Docker: its form, its promises, its commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

from citywatch.cli import cli

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"] == "citywatch:0.1.0"}
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}

KNOWN = set(
    "image build user init read_only tmpfs cap_drop security_opt restart logging environment volumes deploy "
    "healthcheck depends_on entrypoint command secrets ports shm_size profiles".split()
)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bounded_and_nobody_s_root(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KNOWN
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])
    assert service["user"] not in ("root", "0", "0:0")
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert name in ONCE or {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name: str) -> None:
    service = SERVICES[name]
    for other, wanted in service.get("depends_on", {}).items():
        finished = wanted["condition"] == "service_completed_successfully"
        assert (other in ONCE) == finished
        assert finished or wanted["condition"] == "service_healthy"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file()
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])


def test_what_a_service_depends_on_comes_up_with_it() -> None:
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            always = "profiles" not in SERVICES[other]
            assert always or set(service["profiles"]) <= set(SERVICES[other]["profiles"]), f"{name} needs {other}"


def test_one_profile_brings_up_all_of_it() -> None:
    assert all("schedules" in service.get("profiles", ["schedules"]) for service in SERVICES.values())


def test_no_password_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        secret = [key for key in service.get("environment", {}) if re.search("PASSWORD|SECRET|KEY", key)]
        assert all(key.endswith("_FILE") for key in secret), name
    assert all(set(found) == {"file"} for found in COMPOSE["secrets"].values())


@pytest.mark.parametrize("name", sorted(OURS))
def test_its_command_is_one_that_citywatch_takes(name: str) -> None:
    words = list(SERVICES[name]["command"])
    command: click.Command | None = cli
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    command.make_context(name, words)


def test_the_images_are_those_of_the_tests() -> None:
    servers = {"kafka": "kafka", "cassandra": "cassandra", "namenode": "hdfs", "datanode": "hdfs", "directory": "hdfs"}
    for name, server in servers.items():
        pom = (DEPLOY / "servers" / server / "pom.xml").read_text("utf-8")
        assert f"<version>{SERVICES[name]['image'].split(':')[1]}</version>" in pom


def test_spark_is_given_all_jars_that_are_put_into_the_image() -> None:
    namespace = "{http://maven.apache.org/POM/4.0.0}"
    pom = ElementTree.parse(DEPLOY / "servers" / "spark" / "pom.xml")  # noqa: S314 - our own file
    wanted = {
        f"/opt/spark-jars/{jar.findtext(f'{namespace}artifactId')}-{jar.findtext(f'{namespace}version')}.jar"
        for jar in pom.iter(f"{namespace}dependency")
    }
    for name in ("detect", "archive"):
        (given,) = (word for word in SERVICES[name]["command"] if word.startswith("--conf=spark.jars="))
        assert set(given.removeprefix("--conf=spark.jars=").split(",")) == wanted
