"""The command asks Cassandra, and says what it cannot answer; the older watcher's table is read once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cluster.cassandra.keyspaces import SECRET, Keyspace
from tests.cluster.city import REPORT, answer
from tests.cluster.running import citywatch

pytestmark = pytest.mark.cluster

ENVIRONMENT = {**os.environ, **SECRET}


def test_the_command_prints_what_it_prints_of_the_laptop(kept: Keyspace, city: Path) -> None:
    printed = citywatch("report", "mean-age", "--data", kept.url, "--format", "json", env=ENVIRONMENT)
    assert json.loads(printed.stdout)["rows"] == answer(city, "mean-age").rows.to_pylist()


def test_a_report_that_it_cannot_answer_is_refused_with_those_that_it_can(store: Keyspace) -> None:
    asked = citywatch("report", "fleet", "--data", store.url, env=ENVIRONMENT)
    assert asked.returncode == 2
    assert "mean-age" in asked.stderr
    empty = citywatch("report", "mean-age", "--data", store.url, env=ENVIRONMENT)
    assert empty.returncode == 1
    assert "nothing has been stored" in empty.stderr


def test_the_older_table_is_read_once_and_again_adds_nothing(store: Keyspace, tmp_path: Path) -> None:
    store.rows("""CREATE TABLE {}.older (id uuid PRIMARY KEY, first_name text, last_name text, gender text, age int,
        behaviors list<text>, location list<int>, time text, timeframe text, phone text, picture text,
        dangerosity_score int)""")
    for number in range(25):
        report = {**REPORT, "id": f"0c7f0d9e-30d2-4f8a-9a1a-57a1f40e2a{number:02}", "age": 20 + number}
        store.session.execute(f"INSERT INTO {store.address.keyspace}.older JSON %s", [json.dumps(report)])
    command = ("run", f"{store.url}/older", "--once", "--data", tmp_path / "data")
    first = citywatch(*command, env=ENVIRONMENT)
    assert json.loads(first.stdout)["events"] == 25, first.stderr
    again = json.loads(citywatch(*command, env=ENVIRONMENT).stdout)
    assert (again["read"], again["duplicates"], again["events"]) == (25, 25, 0)
    rows = json.loads(citywatch("report", "mean-age", "--data", tmp_path / "data", "--format", "json").stdout)["rows"]
    assert rows[0]["persons"] == 1  # Ada Low, in all of them


def test_a_table_that_is_not_there_is_an_error_and_no_event(store: Keyspace, tmp_path: Path) -> None:
    done = citywatch("run", f"{store.url}/nothing", "--once", "--data", tmp_path / "data", env=ENVIRONMENT)
    assert done.returncode == 1
    assert "is the table there" in done.stderr
