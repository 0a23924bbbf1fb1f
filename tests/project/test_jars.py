"""What the servers of the tests need and is not there is named, with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.servers import jars
from deploy.servers.jars import MissingError


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java and Maven, on which no jar was ever fetched; its directory of programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(jars, "CACHE", tmp_path / "jars")
    return programs


def program(directory: Path, name: str, script: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_without_java_it_says_where_to_get_it(nothing: Path) -> None:
    with pytest.raises(MissingError, match=r"no Java found.*Java 17.*apt-get install openjdk-17-jre-headless"):
        jars.java()


def test_a_java_that_is_too_old_is_named(nothing: Path) -> None:
    program(nothing, "java", "echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(MissingError, match=r"bin/java is .*11\.0\.2.*need Java 17"):
        jars.java()


def test_without_maven_it_says_where_to_get_it(nothing: Path) -> None:
    with pytest.raises(MissingError, match=r"no Maven found.*jars of kafka.*apt-get install maven"):
        jars.jars("kafka")


def test_jars_that_cannot_be_fetched_are_told_with_the_command_to_try_and_leave_nothing_half_done(
    nothing: Path, tmp_path: Path
) -> None:
    program(nothing, "java", "echo 'openjdk version \"17.0.2\"' >&2")
    program(nothing, "mvn", "echo 'Could not transfer artifact'; exit 1")
    with pytest.raises(MissingError, match=r"(?s)Maven Central.*within reach.*mvn -q -B -f .*Could not transfer"):
        jars.jars("kafka")
    assert [path.name for path in (tmp_path / "jars").iterdir()] == ["kafka.lock"]
