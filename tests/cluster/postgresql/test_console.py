"""The console on PostgreSQL as people run it: users by the script, processes behind one address, alerts by Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer

from deploy.servers.postgresql_server import Postgresql, programs
from deploy.servers.server import free_port
from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster
from tests.cluster.traffic import Traffic
from tests.unit.desk.facts import alert_id, event

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[3]
COMMAND = str(Path(sys.executable).parent / "citywatch")
PATIENCE_S = 60
AWAY_S = 60


@dataclass(frozen=True)
class Database:
    server: Postgresql
    home: Path

    def environment(self, user: str) -> dict[str, str]:
        address = f"postgresql://citywatch_{user}@{self.server.address}/citywatch"
        password = {"CITYWATCH_DATABASE_PASSWORD_FILE": str(self.home / f"{user}.pw")}
        return {**os.environ, "CITYWATCH_DATABASE": address, **password}

    def citywatch(self, *words: str, user: str = "console") -> subprocess.CompletedProcess[str]:
        asked = [COMMAND, *words]
        return subprocess.run(
            asked, env=self.environment(user), cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )

    def as_console(self, sql: str) -> list[Any]:
        options = "-c search_path=citywatch"
        password = (self.home / "console.pw").read_text()
        address = f"postgresql://citywatch_console@{self.server.address}/citywatch"
        with psycopg.connect(address, password=password, options=options, autocommit=True) as con:
            return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A server that wants passwords, with the users that the script makes and tables that their owner made."""
    home = tmp_path_factory.mktemp("people")
    for user in ("owner", "console"):
        (home / f"{user}.pw").write_text(f"secret of {user}'s \\ own")
    files = {f"{user.upper()}_PASSWORD_FILE": str(home / f"{user}.pw") for user in ("owner", "console")}
    with tempfile.TemporaryDirectory(prefix="citywatch-postgresql-") as place, ExitStack() as stack:
        server = stack.enter_context(Postgresql(Path(place), passwords=True))
        path = f"{programs()}{os.pathsep}{os.environ['PATH']}"
        place_of = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres", "PATH": path}
        for _ in range(2):  # to run it again does no harm
            made = ["sh", str(ROOT / "deploy/postgresql/users.sh")]
            subprocess.run(made, env={**os.environ, **files, **place_of}, check=True, timeout=60)
        found = Database(server, home)
        prepared = found.citywatch("console", "--prepare", "citywatch_console", user="owner")
        assert prepared.returncode == 0, prepared.stderr
        yield found


@dataclass(frozen=True)
class Console:
    port: int
    key: str
    process: subprocess.Popen[str]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - always http
            return json.load(answer)

    def unread(self) -> dict[str, float]:
        """Alerts of topics that no console has taken in, by source and partition, as `/metrics` has it."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {self.key}"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - always http
            lines = answer.read().decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if line.startswith("citywatch_source_lag{")]
        return {labels.removeprefix("citywatch_source_lag"): float(count) for labels, _, count in pairs}

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/api/v1/alerts?limit=500")["alerts"]
        return found


@contextmanager
def console(database: Database, *words: str, key: str) -> Iterator[Console]:
    port = free_port()
    asked = [COMMAND, "console", "--port", str(port), *words]
    with (
        (database.home / "console.log").open("w") as log,
        subprocess.Popen(
            asked, env=database.environment("console"), cwd=database.home, stderr=log, text=True
        ) as process,
    ):
        try:
            running = Console(port, key, process)
            until(lambda: answers(running), f"the console answers: {(database.home / 'console.log').read_text()}")
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def answers(running: Console) -> bool:
    try:
        return bool(running.ask("/healthz")["status"] == "ok")
    except OSError:  # no connection, or none of use
        return False


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def told(name: int, **more: Any) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    words = {"rule": "needs_human", "rule_id": "r", "rule_version": "v", "title": "A human is needed"}
    alert: dict[str, Any] = {"id": alert_id(name), **words, "level": "medium", "status": "stable"}
    alert["group"] = {"plate": "K1"}
    alert |= {"first_seen": now, "last_seen": now, "count": 1, "late": False, "lat": 40.7, "lon": -74.0}
    alert |= {"address": None, "reason": "somebody has to look", "values": {}, "state": "open"}
    evidence = [event(f"v{name}", plate="K1", violation_code=46, needs_human=True, lat=40.7, lon=-74.0)]
    return json.dumps({**alert, "evidence": evidence, **more})


@pytest.fixture(scope="module")
def key(database: Database) -> str:
    scopes = ["--scope", "alerts:read", "--scope", "alerts:act", "--scope", "metrics:read"]
    made = database.citywatch("users", "keys", "add", "tests", *scopes)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[-1]


def test_alerts_of_the_topic_are_worked_on_at_one_address_and_corrections_go_back(database: Database, key: str) -> None:
    cluster = Cluster(kafka())
    alerts, events = cluster.make(partitions=2), cluster.make()
    cluster.send(alerts, [told(1), "no alert", told(2), told(1, count=3)])
    source = f"kafka://{cluster.address}/{alerts}"
    with console(database, "--processes", "2", "--from", source, "--events", events, key=key) as running:
        until(lambda: len(running.alerts()) == 2, "both alerts are there")
        counts = {alert["id"]: alert["count"] for alert in running.alerts()}
        assert counts == {alert_id(1): 3, alert_id(2): 1}
        running.ask(f"/api/v1/alerts/{alert_id(1)}/ack", {})
        running.ask(f"/api/v1/alerts/{alert_id(2)}/correct", {"code": 40})
        cluster.send(alerts, [told(1, count=4), told(3)])
        until(lambda: len(running.alerts()) == 3, "the third alert is there")
        states = {alert["id"]: alert["state"] for alert in running.alerts()}
        assert states == {alert_id(1): "acknowledged", alert_id(2): "closed", alert_id(3): "open"}
        until(lambda: not database.as_console("SELECT FROM inbox"), "the correction has left the desk")
        read = {f'{{source="{source}",partition="{alerts}/{number}"}}': 0.0 for number in range(2)}
        until(lambda: running.unread() == read, "nothing waits in either partition")
        assert database.as_console("SELECT reason FROM rejected")[0][0].startswith("no alert: ")
    sent = json.loads(first_message(cluster.address, events))
    assert (sent["type"], sent["data"]["corrects_id"], sent["data"]["violation_code"]) == (
        "violation.corrected", "v2", 40,
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_console_that_was_away_for_a_minute_shows_every_alert_of_that_time_once(database: Database, key: str) -> None:
    cluster = Cluster(kafka())
    topic = cluster.make(partitions=2)
    words = ("--from", f"kafka://{cluster.address}/{topic}?group={topic}")
    first = 10_000

    def alarm(number: int) -> str:
        return told(first + number // 2, count=number % 2 + 1)  # each grows once

    def ours(running: Console) -> dict[str, int]:
        """Count by id, of this test's alerts that are there."""
        path, found = "/api/v1/alerts?limit=500", dict[str, int]()
        while path:
            page = running.ask(path)
            found |= {alert["id"]: alert["count"] for alert in page["alerts"]}
            path = f"/api/v1/alerts?limit=500&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        return {ident: count for ident, count in found.items() if ident in wanted}

    wanted = {alert_id(first + number) for number in range(40_000)}
    with Traffic(cluster, topic, alarm, key=lambda text: str(json.loads(text)["id"])) as traffic:
        with console(database, *words, key=key) as running:
            until(lambda: len(ours(running)) > 20, "alerts come")
            before = len(ours(running))
            running.process.kill()
            running.process.wait(30)
        until(lambda: not answers(running), "its pages end with it")
        time.sleep(AWAY_S)
        missed = traffic.sent // 2 - before
        hanging = member(cluster, topic)
        with console(database, *words, key=key) as running:
            delayed = "what the other of the group has missed, and does not read, is shown as the delay"
            until(lambda: [hanging.poll(0.1)] and max(running.unread().values(), default=0) > missed / 2, delayed)
            hanging.close()
            until(lambda: len(ours(running)) > before + missed, "what came meanwhile is there, and more comes")
            traffic.more()
            sent = traffic.end()
            until(lambda: sum(ours(running).values()) >= sent // 2 * 2 + sent % 2, "all of them are there")
            last = ours(running)
            until(lambda: set(running.unread().values()) == {0.0}, "nothing waits any more")
    assert missed > 20
    assert Counter(last.values()) == Counter({2: sent // 2, 1: sent % 2}), "each of them once, and grown"


def member(cluster: Cluster, topic: str) -> Consumer:
    """One of the group named as its topic, that holds all partitions, and takes nothing in."""
    made = Consumer({"bootstrap.servers": cluster.address, "group.id": topic, "enable.auto.commit": False})
    made.subscribe([topic])
    until(lambda: [made.poll(0.1)] and made.assignment(), "it has partitions: those who were there before are given up")
    return made


def first_message(address: str, topic: str) -> bytes:
    reader = Consumer({"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    message = next(found for _ in range(300) if (found := reader.poll(0.2)) is not None and not found.error())
    reader.close()
    return message.value() or b""


def test_the_console_s_user_can_change_no_table_and_nothing_that_was_recorded(database: Database) -> None:
    for sql in (
        "CREATE TABLE mine (a int)",
        "DROP TABLE facts",
        "DELETE FROM audit",
        "UPDATE actions SET note = 'x'",
        "DELETE FROM actions",
        "UPDATE version SET number = 9",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.as_console(sql)


def test_a_password_on_the_command_line_is_refused(database: Database) -> None:
    refused = database.citywatch("console", "--database", "postgresql://a:b@127.0.0.1/x")
    assert refused.returncode == 2
    assert re.search("CITYWATCH_DATABASE_PASSWORD_FILE", refused.stderr)


def test_a_user_who_may_not_make_tables_is_told_who_may(database: Database) -> None:
    environment = database.environment("console")
    environment["CITYWATCH_DATABASE"] += "?schema=another"
    asked = [COMMAND, "console", "--port", "0"]
    done = subprocess.run(
        asked, env=environment, cwd=database.home, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "--prepare" in done.stderr
    assert "Traceback" not in done.stderr
