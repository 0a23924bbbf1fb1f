"""The DAGs in the Airflow of their lock: all are read, and their tasks run, also a second time for a past day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("airflow")]

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / "deploy" / "airflow"
COMMAND = Path(sys.executable).parent / "citywatch"
DAY = "2026-05-01"

LOOK = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=%r)
print(json.dumps({
    "errors": list(bag.import_errors.values()),
    "dags": {name: {"paused": bool(dag.is_paused_upon_creation), "catchup": dag.catchup, "active": dag.max_active_runs,
                    "scripts": [task.bash_command for task in dag.tasks]} for name, dag in bag.dags.items()},
}))
"""


@dataclass(frozen=True)
class Airflow:
    home: Path
    environment: dict[str, str]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [str(PLACE / ".venv" / "bin" / words[0]), *words[1:]],
            env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=170,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    def test(self, dag: str, at: str) -> None:
        """Run all tasks of a DAG for the interval that ends then."""
        self.run("airflow", "dags", "test", dag, at)

    @property
    def reports(self) -> Path:
        return self.home / "reports" / DAY


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    synced = ["sh", str(ROOT / "scripts" / "uv"), "sync", "--frozen", "--quiet", "--directory", str(PLACE)]
    subprocess.run(synced, check=True, timeout=600)
    home = tmp_path_factory.mktemp("airflow")
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CITYWATCH", "VIRTUAL"))
    }
    places = {"AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": PLACE / "dags"}
    places |= {
        "AIRFLOW__CORE__PLUGINS_FOLDER": PLACE / "plugins",
        "CITYWATCH": COMMAND,
        "CITYWATCH_DATA": home / "data",
    }
    settings = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    settings |= {"CITYWATCH_REPORTS": str(home / "reports"), "CITYWATCH_SHADOW": "needs_human"}
    found = Airflow(home, {**ours, **settings, **{name: str(path) for name, path in places.items()}})
    found.run("airflow", "db", "migrate")
    yield found


@pytest.fixture(scope="module")
def data(airflow: Airflow) -> Path:
    """A data directory with two events of the day and one that is rejected."""
    head = {"specversion": "1.0", "source": "s", "type": "person.report"}
    people = [("p1", 30, "12"), ("p2", 40, "13")]
    lines = [
        {**head, "id": f"e{person}", "time": f"{DAY}T{hour}:00:00Z", "data": {"person_id": person, "age": age}}
        for person, age, hour in people
    ]
    file = airflow.home / "people.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "{broken\n")
    directory = airflow.home / "data"
    read = [str(COMMAND), "run", str(file), "--once", "--data", str(directory)]
    subprocess.run(read, check=True, capture_output=True, timeout=60)
    return directory


def test_all_dags_are_read_and_only_the_producer_begins_paused(airflow: Airflow) -> None:
    told = json.loads(airflow.run("python", "-c", LOOK % str(PLACE / "dags")).splitlines()[-1])
    assert told["errors"] == []
    files = {path.stem for path in (PLACE / "dags").glob("*.py")}
    assert set(told["dags"]) == files
    assert {name for name, dag in told["dags"].items() if dag["paused"]} == {"kafka_producer"}
    assert all(not dag["catchup"] and dag["active"] == 1 for dag in told["dags"].values())
    assert all("citywatch " in script for dag in told["dags"].values() for script in dag["scripts"])


def test_the_reports_of_a_past_day_are_made_anew(airflow: Airflow, data: Path) -> None:
    airflow.reports.mkdir(parents=True)
    (airflow.reports / "mean-age.json").write_text("of an older run")
    airflow.test("nightly_reports", "2026-05-02T04:00:00+00:00")
    rows = json.loads((airflow.reports / "mean-age.json").read_text())["rows"]
    assert rows[0] == {"population": "reported", "persons": 2, "mean_age": 35.0}
    quality = json.loads((airflow.reports / "data-quality.json").read_text())
    assert quality["name"] == "data-quality"
    assert not [path.name for path in airflow.reports.iterdir() if path.name.startswith(".")]


@pytest.mark.soak
def test_upkeep_leaves_every_event_where_it_is(airflow: Airflow, data: Path) -> None:
    airflow.test("upkeep", "2026-05-02T06:30:00+00:00")
    listed = [str(COMMAND), "events", "--data", str(data), "--format", "ndjson"]
    done = subprocess.run(listed, check=True, capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 2


def test_the_producer_sends_a_hundred_reports_and_the_same_again(airflow: Airflow) -> None:
    cluster = Cluster(kafka())
    cluster.make("users")
    airflow.environment["CITYWATCH_KAFKA"] = cluster.address
    airflow.test("kafka_producer", "2026-05-01T12:05:00+00:00")
    first = [json.loads(value) for value in received(cluster.address, "users", 100)]
    assert len(first) == 100
    assert len({person["id"] for person in first}) >= 90  # the simulation sends a few twice, as devices do
    airflow.test("kafka_producer", "2026-05-01T12:05:00+00:00")
    assert [json.loads(value) for value in received(cluster.address, "users", 200)] == [*first, *first]


def received(address: str, topic: str, count: int) -> list[bytes]:
    """The messages of a topic of one partition; a second of silence behind them."""
    from confluent_kafka import Consumer

    reader = Consumer({"bootstrap.servers": address, "group.id": f"look{count}", "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    found: list[bytes] = []
    for _ in range(60):
        some = [message.value() or b"" for message in reader.consume(1000, 1.0) if not message.error()]
        if not some and len(found) >= count:
            break
        found += some
    reader.close()
    return found
