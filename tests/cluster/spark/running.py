"""Jobs of the tests: in this process, where all share one Java; or in a process of their own, to be killed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from citywatch.cli.hosting import Host
from citywatch.mappings.recipe import ParserRecipe
from citywatch.stores.desk import Desk
from citywatch.triage import EVERY
from deploy.servers.jars import MissingError, jars
from deploy.servers.server import BRIEF
from tests.conformance.cases import Said
from tests.conformance.command_line import said

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

    from citywatch.engine.spark.told import Told

MASTER = "local[2,4]"
"""Two cores; a task that fails is tried four times, as on a cluster."""
ENVIRONMENT = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}


def properties(scratch: Path | None = None) -> dict[str, str]:
    """Of Spark: small, quiet, on loopback, with the connector for Kafka. Fails the test where something is missing.

    What Java writes into `scratch` stays there when it is killed.
    """
    if importlib.util.find_spec("pyspark") is None:
        pytest.fail("no PySpark: `sh scripts/uv sync --frozen --group spark`, as make cluster-test does", pytrace=False)
    try:
        found = ",".join(str(jar) for jar in sorted(jars("spark").glob("*.jar")))
    except MissingError as error:
        pytest.fail(str(error), pytrace=False)
    temporary = f"-Djava.io.tmpdir={scratch or tempfile.gettempdir()}"
    return {
        "spark.jars": found,
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": f"{BRIEF} -XX:+UseSerialGC {temporary}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.streaming.stateStore.maintenanceInterval": "5s",
    }


BEHIND = "source_lag"
"""The rule by which citywatch says of itself that it reads too slowly."""


@dataclass
class Run:
    """What the batches of one run said."""

    told: list[Told] = field(default_factory=list)

    def count(self, name: str) -> int:
        """The sum over all batches."""
        return sum(told.counts[name] for told in self.told)


def started() -> SparkSession:
    """A Spark session in this process."""
    os.environ.update(ENVIRONMENT)
    from citywatch.engine.spark.job import session

    spark = session(MASTER, properties())
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def detect(spark: SparkSession, directory: Path, rules: Path, records: DataFrame, **job: Any) -> Run:
    """Read what there is, with the state and the desk in `directory`; `job` as the fields of `engine.spark.job.Job`."""
    from citywatch.engine.spark.job import Job
    from citywatch.engine.spark.telling import DeskTold

    host, run = Host(directory, [rules]), Run()
    host.directory.prepare(host.settings)
    recipe = ParserRecipe(host.settings, tuple(host.mappings), host.gazetteer)
    made = Job(host.ruleset, host.settings, recipe, str(directory / "checkpoint"), once=True, **job)
    with Desk(host.directory.desk) as desk:
        write = DeskTold(desk)

        def tell(told: Told) -> None:
            write(told)
            run.told.append(told)

        _finished(lambda: made.start(records, tell))
    return run


def _finished(start: Callable[[], StreamingQuery]) -> None:
    """Run a query to its end. Spark gives up a Python of its driver that starts slowly, as on a busy machine."""
    from pyspark.errors import StreamingQueryException

    for left in (2, 1, 0):
        try:
            start().awaitTermination()
        except StreamingQueryException as error:
            if not left or "failed to connect back" not in str(error):
                raise
        else:
            return


def alerts(directory: Path) -> dict[str, Said]:
    """The alerts of the rules on the desk of a data directory, by id."""
    return {alert.id: alert for alert in _on_desk(directory) if alert.rule != BEHIND}


def behind(directory: Path) -> set[str]:
    """Ids of the alerts there that it reads too slowly, as on a busy machine it does."""
    return {alert.id for alert in _on_desk(directory) if alert.rule == BEHIND}


def _on_desk(directory: Path) -> list[Said]:
    with Desk(directory / "desk.sqlite") as desk:
        return [Said.of_json(json.loads(line)) for line in desk.lines(EVERY)]


def command(job: str, *arguments: object) -> list[str]:
    """What `citywatch spark JOB` says on standard output, by lines; in this process, on its session."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        return said("spark", job, *arguments, "--master", MASTER, *configured())
    finally:
        signal.signal(signal.SIGTERM, before)


def configured(scratch: Path | None = None) -> list[str]:
    """The properties as words of a command."""
    return [word for name, value in properties(scratch).items() for word in ("--conf", f"{name}={value}")]


class Job:
    """`citywatch spark detect`, or another of its jobs, in a session of its own."""

    def __init__(
        self, *arguments: object, log: Path, job: str = "detect", environment: Mapping[str, str] | None = None
    ) -> None:
        program = str(Path(sys.executable).with_name("citywatch"))
        command = [program, "spark", job, *map(str, arguments), "--master", MASTER, *configured(log.parent)]
        self._log, self._out = log, log.with_suffix(".out")
        with log.open("ab") as log_file, self._out.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=log_file,
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
                start_new_session=True,
            )

    def wait_for(self, condition: Callable[[], bool], within: float = 200) -> None:
        """Until it is so."""
        deadline = time.monotonic() + within
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"the job ended, or waited too long:\n{self._log.read_text('utf-8')[-3000:]}")
            time.sleep(0.02)

    def said(self, pattern: str) -> str | None:
        """The first group of a pattern in what it has said on standard error."""
        found = re.search(pattern, self._log.read_text("utf-8"))
        return found[1] if found else None

    def metrics(self) -> dict[str, float]:
        """The samples of its page."""
        return samples(self.said(r"metrics at (http\S+)") or "")

    def kill_worker(self) -> bool:
        """End one of the Python processes that work for Spark; False where there is none."""
        commands = {pid: Path("/proc", str(pid), "cmdline").read_bytes() for pid in _session(self._process.pid)}
        daemons = {pid for pid, command in commands.items() if b"pyspark.daemon" in command}
        workers = [pid for pid in daemons if _parent(pid) in daemons]
        for pid in workers[:1]:
            os.kill(pid, signal.SIGKILL)
        return bool(workers)

    def kill(self) -> None:
        """End all of its processes at once: the driver, Java, and the workers, which have a group of their own."""
        while pids := _session(self._process.pid):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._process.wait(30)

    def failure(self) -> str:
        """Wait until it ends because something is wrong; what it says of that."""
        assert self._process.wait(250) == 1, self._log.read_text("utf-8")[-3000:]
        return self._log.read_text("utf-8")[-3000:]

    def ended(self) -> dict[str, Any]:
        """End it as its administrator does; the last line it said."""
        self._process.terminate()
        return self.last_line()

    def last_line(self) -> dict[str, Any]:
        """Wait for its end; the last line it said."""
        assert self._process.wait(250) == 0, self._log.read_text("utf-8")[-3000:]
        out = self._out.read_text("utf-8")
        line: dict[str, Any] = json.loads(out.splitlines()[-1])
        return line


def samples(page: str) -> dict[str, float]:
    """What the page of metrics at an address says: value by name and labels."""
    with urlopen(page) as answer:  # noqa: S310 - always on loopback
        lines = answer.read().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def waiting(shown: Mapping[str, float]) -> float:
    """Messages that are not read yet, of all partitions."""
    return sum(count for name, count in shown.items() if name.startswith("citywatch_source_lag{"))


def _session(leader: int) -> Sequence[int]:
    """Processes of a session, its leader last."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == leader and "\nState:\tZ" not in (entry / "status").read_text():
                    found.append(int(entry.name))
            except (ProcessLookupError, FileNotFoundError):
                continue  # it has just ended
    return sorted(found, key=lambda pid: pid == leader)


def _parent(pid: int) -> int:
    return int(Path("/proc", str(pid), "stat").read_text("ascii", "replace").rpartition(")")[2].split()[1])
