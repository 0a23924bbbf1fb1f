"""Jars of the servers: fetched from Maven Central once, into .cache/jars. Needs nothing but Python's own library.

`python deploy/servers/jars.py [--background] [SERVER...]`; without a name, those of all servers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "jars"
JAVA = 17
_PATIENCE_S = 900


class MissingError(Exception):
    """Something that a server needs is not there; says how to get it."""


def servers() -> list[str]:
    """Names of the servers that jars are fetched for."""
    return sorted(pom.parent.name for pom in HERE.glob("*/pom.xml"))


def java() -> str:
    """Path of a Java that is new enough. Raises MissingError."""
    return _java(os.environ.get("JAVA_HOME"), os.environ.get("PATH"))


@cache
def _java(home: str | None, path: str | None) -> str:
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=path)
    how = f"Debian, Ubuntu: apt-get install openjdk-{JAVA}-jre-headless; elsewhere https://adoptium.net and JAVA_HOME"
    if found is None or not os.access(found, os.X_OK):
        raise MissingError(f"no Java found, and the servers of the cluster need Java {JAVA} or newer ({how})")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        first = said.splitlines()[:1]
        raise MissingError(f"{found} is {first}, and the servers of the cluster need Java {JAVA} or newer ({how})")
    return found


def jars(server: str) -> Path:
    """Directory with the jars of a server; fetches them when they are not there. Raises MissingError."""
    pom = HERE / server / "pom.xml"
    directory = CACHE / f"{server}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    with _alone(server):
        if not directory.is_dir():
            _fetch(pom, directory)
    return directory


@contextmanager
def _alone(server: str) -> Iterator[None]:
    """One process at a time fetches; others wait for it. The lock goes with the process that holds it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{server}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(pom: Path, directory: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingError(
            f"no Maven found, and it fetches the jars of {pom.parent.name}"
            " (Debian, Ubuntu: apt-get install maven; elsewhere https://maven.apache.org/install.html)"
        )
    java()
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=directory.parent) as name:
        goal = "dependency:copy-dependencies"
        where = [f"-DoutputDirectory={name}/lib", "-DincludeScope=runtime"]
        command = [maven, "-q", "-B", "-f", str(pom), goal, *where]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise MissingError(f"{' '.join(command)} took longer than {_PATIENCE_S} s") from error
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-2000:]
            raise MissingError(
                f"Maven could not fetch the jars of {pom.parent.name}; is Maven Central, or the mirror that"
                f" ~/.m2/settings.xml names, within reach? Try: {' '.join(command[:7])}\n{said}"
            )
        Path(name, "lib").rename(directory)


def _background(names: list[str]) -> None:
    """Fetch in a process of its own; a server that is started waits for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "fetching.log").open("wb") as log:
        command = [sys.executable, __file__, *names]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def main(arguments: list[str]) -> int:
    """Fetch; 0 when all is there."""
    names = [name for name in arguments if name != "--background"] or servers()
    if "--background" in arguments:
        _background(names)
        return 0
    try:
        for name in names:
            jars(name)
    except MissingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
