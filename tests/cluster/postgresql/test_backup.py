"""A backup of the desk on PostgreSQL is PostgreSQL's own: taken while people and alerts go on, it goes on elsewhere."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from citywatch.alert import Action
from citywatch.connections.postgresql import Address, database_address
from citywatch.stores.desk.server import Desk, Server
from citywatch.triage import Wish
from deploy.servers.postgresql_server import programs
from tests.cluster.servers import postgresql
from tests.unit.desk.facts import NOW, alert_id, fact, table

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("desk")]


def tool(name: str, *arguments: str | Path) -> None:
    host, _, port = postgresql().rpartition(":")
    command = [programs() / name, "-h", host, "-p", port, "-U", "postgres", *arguments]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=120)


def standing(desk: Desk) -> list[tuple[str, str, int]]:
    return [(alert["id"], alert["state"], alert["count"]) for alert in desk.alerts(now=NOW)]


def test_a_dump_of_a_busy_desk_is_a_desk_that_goes_on(address: Address, desk: Desk, tmp_path: Path) -> None:
    desk.put_facts(table(fact(name) for name in range(50)), now=NOW)
    desk.act(alert_id(1), Wish(Action.ACK, by="anna", channel="page"), now=NOW)
    over = threading.Event()

    def engine() -> None:
        server = Server(address, most=2)
        count = 1
        with server.desk() as own:
            while not over.is_set():
                count += 1
                own.put_facts(table([fact("grows", count=count)]), now=NOW)
        server.close()

    busy = threading.Thread(target=engine)
    busy.start()
    try:
        tool("pg_dump", "--format=custom", f"--schema={address.schema}", "-f", tmp_path / "desk", "postgres")
    finally:
        over.set()
        busy.join()
    database = f"again_{address.schema}"
    tool("createdb", database)
    tool("pg_restore", "--exit-on-error", "-d", database, tmp_path / "desk")
    url = f"postgresql://postgres@{postgresql()}/{database}?schema={address.schema}"
    server = Server(database_address(url), most=2)
    with server.desk() as again:
        before = {row for row in standing(again) if row[0] != alert_id("grows")}
        assert before == {row for row in standing(desk) if row[0] != alert_id("grows")}
        assert [entry["by"] for entry in again.history(alert_id(1))] == ["anna"]
        last = again.last_change()
        again.put_facts(table([fact("new")]), now=NOW)
        again.act(alert_id(2), Wish(Action.ACK, by="bo", channel="page"), now=NOW)
        assert [found.alert["id"] for found in again.changes_since(last)] == [alert_id("new"), alert_id(2)]
    server.close()
