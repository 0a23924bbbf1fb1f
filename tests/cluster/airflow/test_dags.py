"""The DAGs in the Airflow of their lock, by its own scheduler: for the slot that is due, for a past day, and again."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.cluster.airflow.scheduler import COMMAND, PLACE, Airflow, synced
from tests.cluster.running import Run
from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DAY = "2024-05-01"
PAST = (f"{DAY}T00:00:00Z", f"{DAY}T23:00:00Z")
"""In this time of UTC exactly one day of the city begins."""

BY_ITSELF = ("nightly_reports", "upkeep", "replay_rejected", "shadow_rules")


def test_the_scheduler_runs_every_dag_when_it_is_due_and_again_for_a_past_day(tmp_path: Path) -> None:
    cluster, people = Cluster(kafka()), City(tmp_path / "data")
    cluster.make("users")
    reports = tmp_path / "reports"
    places = {"CITYWATCH_DATA": str(people.data), "CITYWATCH_KAFKA": cluster.address, "CITYWATCH_REPORTS": str(reports)}
    airflow = Airflow(tmp_path / "airflow", **places, CITYWATCH_SHADOW="needs_human", CITYWATCH_SCHEDULES="2024-01-01")
    with airflow.running():
        all_are_read_and_only_the_producer_is_paused(airflow)
        airflow.ask("dags/kafka_producer", {"is_paused": False}, "PATCH")
        airflow.wait(*BY_ITSELF, "kafka_producer")
        each_ran_for_the_slot_that_was_due(airflow)
        sent = a_hundred_persons(cluster.values("users"))

        people.read_in()
        airflow.past("nightly_reports", *PAST)
        airflow.past("shadow_rules", *PAST)
        airflow.again("replay_rejected", "replay")
        airflow.again("kafka_producer", "produce", run=0)
        airflow.wait(*BY_ITSELF, "kafka_producer")
        told = answers(reports / DAY)
        assert told["mean-age.json"]["rows"][0] == {"population": "reported", "persons": 2, "mean_age": 35.0}
        assert [alert["group"] for alert in told["shadow.ndjson"]] == [{"source": "s", "id": "v1"}]
        the_same_persons_were_sent_again_and_count_once(cluster, sent, people)
        kept = people.events()
        assert people.rejected() == 0

        airflow.again("nightly_reports", "mean-age", "repeat-persons")
        airflow.past("shadow_rules", *PAST)
        airflow.past("upkeep", *PAST)
        airflow.wait(*BY_ITSELF)
        assert answers(reports / DAY) == told
        assert Counter(kept) - Counter(people.events()) == {"too old": 1}

        airflow.past("upkeep", *PAST)
        airflow.again("replay_rejected", "replay")
        airflow.wait(*BY_ITSELF)
        assert sorted(people.events()) == sorted(set(kept) - {"too old"})


def all_are_read_and_only_the_producer_is_paused(airflow: Airflow) -> None:
    known = {path.stem for path in (PLACE / "dags").glob("*.py")} - {"archive_upkeep"}  # no archive is named
    read = airflow.until(
        lambda: {dag["dag_id"]: dag for dag in airflow.ask("dags")["dags"]}, lambda dags: set(dags) == known
    )
    assert airflow.ask("importErrors")["total_entries"] == 0
    assert {name for name, dag in read.items() if dag["is_paused"]} == {"kafka_producer"}
    assert all(dag["max_active_runs"] == 1 for dag in read.values())
    assert airflow.runs("kafka_producer") == []


def each_ran_for_the_slot_that_was_due(airflow: Airflow) -> None:
    """One run, and not one for each day since the schedule began; days are those of the city."""
    begun = {run["dag_id"]: moments(run) for run in airflow.runs() if run["run_type"] == "scheduled"}
    assert set(begun) == {*BY_ITSELF, "kafka_producer"}
    for since, upto in begun.values():
        assert upto <= datetime.now(UTC) < upto + 2 * (upto - since) + timedelta(hours=2)
    since, upto = begun["kafka_producer"]
    assert (upto - since, since.minute % 5, since.second) == (timedelta(minutes=5), 0, 0)
    since, upto = (moment.astimezone(ZoneInfo("America/New_York")) for moment in begun["nightly_reports"])
    assert (since.hour, upto.hour, upto.date() - since.date()) == (0, 0, timedelta(days=1))


def moments(run: dict[str, Any]) -> tuple[datetime, datetime]:
    """The interval of a run."""
    return datetime.fromisoformat(run["data_interval_start"]), datetime.fromisoformat(run["data_interval_end"])


def a_hundred_persons(values: list[str]) -> list[str]:
    """The messages of the first run of the producer, which are in the older system's shape."""
    values = values[:100]  # where the machine is slow, a second slot may have been due meanwhile
    persons = [json.loads(value) for value in values]
    assert len(persons) == 100
    assert len({person["id"] for person in persons}) > 90, "some are sent twice, as in every city"
    shape = "id first_name last_name gender age behaviors location time timeframe phone picture dangerosity_score"
    assert all(set(person) == set(shape.split()) for person in persons)
    return values


def the_same_persons_were_sent_again_and_count_once(cluster: Cluster, sent: list[str], city: City) -> None:
    found = Counter(cluster.values("users"))
    assert all(found[message] == 2 * count for message, count in Counter(sent).items())
    ids = {json.loads(message)["id"] for message in found}
    with Run(city.data.with_name("readers"), f"kafka://{cluster.address}/users") as reader:
        reader.wait_for(sum(found.values()))
        read = reader.end(signal.SIGINT)
    assert (read["events"], read["duplicates"]) == (len(ids), sum(found.values()) - len(ids))


def answers(directory: Path) -> dict[str, Any]:
    """What was written for a day, by file; without what counts rows of the whole directory."""
    names = ("mean-age.json", "repeat-persons.json", "alerts.json", "reports-by-timeframe.json")
    assert not [path.name for path in directory.iterdir() if path.name.startswith(".")]
    found: dict[str, Any] = {name: json.loads((directory / name).read_text("utf-8")) for name in names}
    lines = (directory / "shadow.ndjson").read_text("utf-8").splitlines()
    return {**found, "shadow.ndjson": [json.loads(line) for line in lines]}


_TASKS = """
import json, os, runpy
archive, shadow = "archive_upkeep", "shadow_rules"
named = {"CITYWATCH_ARCHIVE": "hdfs://namenode:8020/citywatch"}, {"CITYWATCH_ARCHIVE_KEEP": "*=90d"}
of_archive = [(archive, more) for more in ({}, *named)]
for name, more in *of_archive, (shadow, {}), (shadow, {"CITYWATCH_SHADOW": "a"}):
    os.environ.update(more)
    dag = runpy.run_path(f"dags/{name}.py").get("dag")
    print(json.dumps([[task.task_id, *task.upstream_task_ids] for task in dag.tasks] if dag else None))
"""


def test_what_is_not_there_has_no_schedule_an_archive_or_rules_in_shadow(tmp_path: Path) -> None:
    """An archive expires where it is said how long it keeps."""
    synced()
    environment = {"PYTHONPATH": "plugins", "AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    asked = [str(PLACE / ".venv" / "bin" / "python"), "-B", "-c", _TASKS]
    said = subprocess.run(asked, cwd=PLACE, env=environment, check=True, capture_output=True, text=True).stdout
    tasks = [json.loads(line) for line in said.splitlines()]
    assert tasks == [None, [["compact"]], [["compact"], ["retention", "compact"]], None, [["backtest"]]]


class City:
    """A data directory; nothing is in it at first."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._file("nothing.ndjson")
        self.run(str(data.with_name("nothing.ndjson")), "--once", data=data)

    def read_in(self) -> None:
        """Three events of the past day and one too old to be kept; one that was read with the wrong mapping."""
        head = {"specversion": "1.0", "source": "s", "time": f"{DAY}T12:00:00Z"}
        persons = [("p1", 30), ("p2", 40)]
        events = [
            {**head, "id": person, "type": "person.report", "data": {"person_id": person, "age": age}}
            for person, age in persons
        ]
        drone = {"device_id": "4", "violation_code": 46, "needs_human": True}
        events.append({**head, "id": "v1", "type": "drone.violation", "data": drone})
        events.append({**head, "id": "too old", "type": "anpr.read", "data": {"plate": "K1"}})
        foreign = {"drone_id": 4, "plate_id": "VWW", "address": "907 W 91th St", "time": "06/01/2024 0309A"}
        self.run(self._file("day.ndjson", *events), "--once", data=self.data)
        mistaken = self._file("drones.ndjson", {**foreign, "violation_code": "95"})
        self.run(mistaken, "--once", "--mapping", "safety-watcher", data=self.data)
        assert self.rejected() == 1
        (self.data / "citywatch.toml").write_text('retention.events = {"anpr.read" = "30d"}\n')

    def run(self, *words: str, data: Path) -> dict[str, Any]:
        return dict(json.loads(self._said("run", *words, data=data).splitlines()[-1]))

    def events(self) -> list[str]:
        """Ids of all events."""
        return [json.loads(line)["id"] for line in self._said("events", data=self.data).splitlines()]

    def rejected(self) -> int:
        return len(self._said("rejected", "list", "--format", "ndjson", data=self.data).splitlines())

    def _file(self, name: str, *lines: dict[str, Any]) -> str:
        file = self.data.with_name(name)
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        return str(file)

    def _said(self, *words: str, data: Path) -> str:
        asked = [str(COMMAND), *words, "--data", str(data)]
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=120).stdout
