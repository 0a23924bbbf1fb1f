from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from citywatch.alert import Action
from citywatch.errors import DataVersionError, StoreError
from citywatch.stores.desk import Desk
from citywatch.triage import Wish

from .facts import NOW, alert_id, fact, table


def test_a_command_that_only_looks_does_not_make_a_desk(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--data DIR"):
        Desk(tmp_path / "desk.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_tables_of_another_version_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "desk.sqlite"
    with sqlite3.connect(file) as con:
        con.execute("PRAGMA user_version=99")
    con.close()
    with pytest.raises(DataVersionError, match="version 99"):
        Desk(file)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "desk.sqlite"
    file.write_text("This is a shopping list, and a rather long one at that: " * 50)
    with pytest.raises(StoreError, match="restore it from a backup"):
        Desk(file)


def test_a_directory_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does the directory exist"):
        Desk(tmp_path / "nowhere" / "desk.sqlite")


def test_a_failed_transaction_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(RuntimeError), desk.transaction() as con:
        con.execute("INSERT INTO cursors VALUES ('x', 1)")
        raise RuntimeError
    assert not desk.has_cursor("x")


def test_eight_processes_may_make_the_same_desk_at_once(tmp_path: Path) -> None:
    code = "import pathlib, sys; from citywatch.stores.desk import Desk; Desk(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "desk.sqlite")]
    makers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(8)]
    outcomes = [(maker.communicate()[1].decode(), maker.returncode) for maker in makers]
    assert {code for _, code in outcomes} == {0}, outcomes


def test_people_act_while_the_engine_writes_and_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "desk.sqlite"
    with Desk(file) as desk:
        desk.put_facts(table(fact(name) for name in range(20)), now=NOW)

    def engine() -> None:
        with Desk(file) as own:
            for count in range(2, 30):
                own.put_facts(table(fact(name, count=count) for name in range(20)), now=NOW)

    def people() -> None:
        with Desk(file) as own:
            for name in range(20):
                own.act(alert_id(name), Wish(Action.ACK, by="anna", channel="cli"), now=NOW)

    threads = [threading.Thread(target=work) for work in (engine, people, engine)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Desk(file) as desk:
        alerts = list(desk.alerts(now=NOW))
    assert {(alert["count"], alert["state"]) for alert in alerts} == {(29, "acknowledged")}


def test_a_reader_of_the_stream_misses_nothing_while_others_write(tmp_path: Path) -> None:
    file = tmp_path / "desk.sqlite"
    Desk(file).close()
    writers = [threading.Thread(target=_write, args=(file, start)) for start in (0, 1000)]
    for writer in writers:
        writer.start()
    seen, cursor = set(), 0
    with Desk(file) as desk:
        while any(writer.is_alive() for writer in writers) or desk.last_change() > cursor:
            for listed in desk.raised_since(cursor, limit=7):
                seen.add(listed.alert["id"])
                cursor = listed.raised
    assert seen == {alert_id(name) for start in (0, 1000) for name in range(start, start + 60)}


def _write(file: Path, start: int) -> None:
    with Desk(file) as desk:
        for name in range(start, start + 60):
            desk.put_facts(table([fact(name)]), now=NOW)


def test_status_and_audit_are_kept(desk: Desk) -> None:
    desk.set_status({"engine": {"clock": 5}, "live": True}, now=NOW)
    desk.set_status({"live": False}, now=NOW + 1)
    assert desk.status() == {"engine": {"clock": 5}, "live": False}
    assert desk.status_age("engine", now=NOW + 9) == 9
    assert desk.status_age("nothing") is None
    desk.audit("anna", "reveal", alert="ab", purpose="a complaint")
    assert [(entry["who"], entry["what"], entry["purpose"]) for entry in desk.audited()] == [
        ("anna", "reveal", "a complaint")
    ]
