"""What deploy/compose.yaml brings up where it is asked for: the archive on HDFS, and Airflow. A soak test."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pytest

from citywatch.stores.archive.manifest import Archive
from tests.cluster.airflow.api import Api
from tests.cluster.compose.demo import citywatch, depended_on, outside, until, up
from tests.cluster.compose.layout import DEPLOY, SERVICES, Layout

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1800)]

PATIENCE_S = 600
PROFILED = [name for name, service in SERVICES.items() if "profiles" in service]
DAGS = {path.stem for path in (DEPLOY / "airflow" / "dags").glob("*.py")}
ARCHIVE = SERVICES["airflow"]["environment"]["CITYWATCH_ARCHIVE"]


def test_the_archive_gets_what_the_engine_gets_and_every_schedule_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", SERVICES["archive"]["environment"]["HADOOP_USER_NAME"])
    with up(depended_on(*PROFILED, "city"), PATIENCE_S) as (layout, running):
        archive, airflow = Archive(layout.here("archive", ARCHIVE)), Airflow(layout)
        every_schedule_runs(airflow)
        until(lambda: most_files(archive) > 1, "the archive has a new file of what it has files of", PATIENCE_S)
        running["city"].stop()
        until(lambda: the_archive_has_all(layout, archive.address), "the archive has all, of both topics", PATIENCE_S)
        assert len(read(layout)) > 1000
        assert ask(layout, "archive", "SELECT id FROM alerts", archive.address), "those that Spark has raised"

        events = kept(layout, archive.address)
        its_schedule_merges_its_files(airflow, archive)
        assert kept(layout, archive.address) == events
        assert all(one.ready() for name, one in running.items() if name != "city")
        assert outside(running) == {}


def every_schedule_runs(airflow: Airflow) -> None:
    """Each DAG is known and ends well for the slot that is due."""
    assert {dag["dag_id"] for dag in airflow.ask("dags")["dags"]} == DAGS
    assert airflow.ask("importErrors")["total_entries"] == 0
    airflow.ask("dags/kafka_producer", {"is_paused": False}, "PATCH")
    until(lambda: airflow.ended() == DAGS, "each DAG has ended well", PATIENCE_S)
    airflow.ask("dags/kafka_producer", {"is_paused": True}, "PATCH")
    until(lambda: airflow.ended() == DAGS, "a last run of it has ended, too", PATIENCE_S)


def its_schedule_merges_its_files(airflow: Airflow, archive: Archive) -> None:
    """A run of `archive_upkeep` by hand leaves one file of each day and type."""
    airflow.ask("dags/archive_upkeep/dagRuns", {"logical_date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    until(lambda: airflow.ended() == DAGS, "it has ended well", PATIENCE_S)
    assert most_files(archive) == 1


def the_archive_has_all(layout: Layout, address: str) -> bool:
    """What the engine has read, and the persons of the topic that it does not read, of whom some are sent twice."""
    archived, known = kept(layout, address), read(layout)
    more = archived - known
    return archived >= known and {kind for kind, *_ in more} == {"person.report"} and len(more) > 90


def most_files(archive: Archive) -> int:
    """How many files there are of the day and type that has most."""
    return max(len(files) for files in archive.manifest().events.values())


def kept(layout: Layout, address: str) -> set[tuple[str, ...]]:
    """The events of the archive."""
    return ask(layout, "archive", EVENTS, address)


def read(layout: Layout) -> set[tuple[str, ...]]:
    """The events of the engine."""
    return ask(layout, "engine", EVENTS, str(layout.volume("data")))


EVENTS = "SELECT type, source, id FROM events"


def ask(layout: Layout, service: str, question: str, data: str) -> set[tuple[str, ...]]:
    """The rows that a question in SQL gets where a service runs."""
    said = citywatch(layout, service, "sql", question, "--format", "csv", "--data", data)
    rows = [tuple(line) for line in list(csv.reader(said.splitlines()))[1:]]
    assert len(rows) == len(set(rows)), "nothing is kept twice"
    return set(rows)


class Airflow(Api):
    """That of the service, for the user whose password its first start has made."""

    def __init__(self, layout: Layout) -> None:
        (made,) = layout.volume("airflow").glob("*passwords.json.generated")
        who = {"username": "admin", "password": json.loads(made.read_text("utf-8"))["admin"]}
        super().__init__(f"http://{layout.address('airflow')}:8080", who)

    def ended(self) -> set[str]:
        """DAGs of which all runs have ended well; fails where one has failed."""
        runs = self.ask("dags/~/dagRuns?limit=100")["dag_runs"]
        assert not [run for run in runs if run["state"] == "failed"]
        return {run["dag_id"] for run in runs} - {run["dag_id"] for run in runs if run["state"] != "success"}
