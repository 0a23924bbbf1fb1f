"""An Airflow as people run one: API server, DAG processor, and the scheduler with its local executor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from deploy.servers.server import Server, free_port
from tests.cluster.airflow.api import PATIENCE_S, Api
from tests.cluster.servers import timed

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / "deploy" / "airflow"
COMMAND = Path(sys.executable).parent / "citywatch"
Seen = TypeVar("Seen")


def synced() -> None:
    """Make the environment of Airflow as its lock says, where it is not yet."""
    words = ["sh", str(ROOT / "scripts" / "uv"), "sync", "--frozen", "--quiet", "--directory", str(PLACE)]
    subprocess.run(words, check=True, timeout=600)


class Part(Server):
    """One of the processes of an Airflow."""

    def __init__(self, airflow: Airflow, name: str, *words: str) -> None:
        super().__init__(airflow.home / name)
        self.name, self._airflow, self._words = name, airflow, (name, *words)

    def prepare(self) -> None:
        """Everything stands in the environment."""

    def command(self) -> Sequence[str]:
        given = [f"{name}={value}" for name, value in self._airflow.environment.items()]
        return ["env", "-i", *given, str(PLACE / ".venv" / "bin" / "airflow"), *self._words]

    def ready(self) -> bool:
        part = {"api-server": "metadatabase", "dag-processor": "dag_processor"}.get(self.name, self.name)
        try:
            return bool(self._airflow.ask("monitor/health")[part]["status"] == "healthy")
        except OSError:  # no connection, or none of use
            return False


class Airflow:
    """An Airflow with the DAGs of deploy/airflow; `settings` are variables of its environment."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self._api = Api(f"http://127.0.0.1:{self.port}")
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "CITYWATCH", "VIRTUAL", "PYTEST"))
        }
        core = {"LOAD_EXAMPLES": "False", "SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True", "PARALLELISM": "6"}
        core |= {"DAGS_FOLDER": str(PLACE / "dags"), "PLUGINS_FOLDER": str(PLACE / "plugins")}
        core["EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{self.port}/execution/"
        named = {"AIRFLOW_HOME": str(home), **{f"AIRFLOW__CORE__{name}": value for name, value in core.items()}}
        # Its processes write to one file: on a busy machine each waits for longer than the five seconds of SQLite.
        named["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db?timeout=30"
        self.environment = {**ours, **named, "CITYWATCH": str(COMMAND), **settings}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make its environment and its database, and run it."""
        synced()
        migrate = [str(PLACE / ".venv" / "bin" / "airflow"), "db", "migrate"]
        with ExitStack() as stack:
            with timed("Airflow"):
                subprocess.run(migrate, env=self.environment, check=True, capture_output=True, timeout=PATIENCE_S)
                stack.enter_context(
                    Part(self, "api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers=1")
                )
                parts = [Part(self, "dag-processor"), Part(self, "scheduler", "--skip-serve-logs")]
                for part in parts:
                    part.launch()
                    stack.callback(part.stop)
                for part in parts:
                    part.wait(PATIENCE_S)
            yield

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """What the API says."""
        return self._api.ask(path, body, method)

    def runs(self, dag: str = "~") -> list[dict[str, Any]]:
        """Runs of a DAG, or of all of them, the oldest first."""
        found = self.ask(f"dags/{dag}/dagRuns?order_by=id&limit=100")["dag_runs"]
        return list(found)

    def past(self, dag: str, since: str, upto: str) -> None:
        """Run a DAG for the intervals that begin in this time, again where it has run."""
        whole = {"max_active_runs": 1, "run_backwards": False, "dag_run_conf": {}}
        # A backfill ends a while after its runs, and as long there may be no other.
        self.until(
            lambda: self.ask(f"backfills?dag_id={dag}")["backfills"],
            lambda all_: all(one["completed_at"] for one in all_),
        )
        self.ask(
            "backfills",
            {"dag_id": dag, "from_date": since, "to_date": upto, "reprocess_behavior": "completed", **whole},
        )

    def again(self, dag: str, *tasks: str, run: int = -1) -> None:
        """Run tasks of a run of a DAG again, by default of its last one."""
        which = {
            "dag_run_id": self.runs(dag)[run]["dag_run_id"],
            "task_ids": list(tasks),
            "only_failed": False,
            "dry_run": False,
        }
        self.ask(f"dags/{dag}/clearTaskInstances", which)

    def wait(self, *dags: str) -> None:
        """Wait until each of these has a run and none is left to do; fails with what a task wrote when one failed."""
        self.until(
            lambda: {dag: self._states(dag) for dag in dags}, lambda found: set(found.values()) == {("success",)}
        )

    def _states(self, dag: str) -> tuple[str, ...]:
        states = {run["state"] for run in self.runs(dag)}
        assert "failed" not in states, self.written()
        return tuple(states)

    def until(self, look: Callable[[], Seen], done: Callable[[Seen], bool]) -> Seen:
        """Look until it is as wanted; what was seen then."""
        deadline = time.monotonic() + PATIENCE_S
        while not done(found := look()):
            assert time.monotonic() < deadline, f"{found}\n{self.written()}"
            time.sleep(0.5)
        return found

    def written(self) -> str:
        """The ends of what tasks wrote."""
        logs = sorted((self.home / "logs").glob("dag_id=*/**/attempt=*.log"))
        return "\n".join(f"{log.relative_to(self.home)}:\n{log.read_text('utf-8')[-1500:]}" for log in logs)
