"""Partitions of Cassandra stay below what it handles well; addresses are understood, and hold no secret."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from citywatch.connections.cassandra import parse
from citywatch.errors import UsageError
from citywatch.settings import Retention, Settings
from citywatch.stores.cassandra import alert_rows, rows
from citywatch.stores.cassandra.tables import BY_NAME, PARTITION_BYTES, TABLES, Table
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from tests.cluster.city import city_in

KEY = b"k" * 32


def hashed(plate: str) -> str:
    return rows.plate_hash(KEY, plate)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_partition_grows_beyond_its_bound(table: Table) -> None:
    assert table.most[0] * table.row_bytes <= PARTITION_BYTES


def test_the_rows_of_a_city_are_not_longer_than_the_arithmetic_has_them(tmp_path: Path) -> None:
    data = city_in(tmp_path / "data")
    longest: dict[str, int] = {}

    def measure(table: str, row: rows.Row) -> None:
        size = sum(len(value.encode()) if isinstance(value, str) else 8 for value in row)
        longest[table] = max(longest.get(table, 0), size)

    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TEMP TABLE events AS {History(data).relation_sql()}")
        for table, found in rows.rows_of(con, Settings().retention, 0, hashed):
            for row in found:
                measure(table, row)
    with Desk(data / "desk.sqlite") as desk:
        for alert in desk.alerts():
            standing = alert_rows.Standing.of(alert, hashed)
            measure("alerts", alert_rows.whole(alert, standing, 0))
            for table, row in alert_rows.rows_of(alert, standing, 0):
                measure(table, row)
    assert set(longest) == {table.name for table in TABLES} - {"relays"}
    assert {name: size for name, size in longest.items() if size > BY_NAME[name].row_bytes} == {}


def test_a_device_has_a_few_rows_for_its_latest_words_however_much_it_says(tmp_path: Path) -> None:
    data = city_in(tmp_path / "data")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TEMP TABLE events AS {History(data).relation_sql()}")
        found = dict(rows.rows_of(con, Retention(), 0, hashed))
    assert len(found["devices"]) < len(found["device_history"]) / 2


def test_the_hash_of_a_plate_needs_the_key() -> None:
    assert hashed("K1") == hashed("K1") != rows.plate_hash(b"other", "K1")
    assert "K1" not in hashed("K1")


def test_an_address_names_hosts_keyspace_and_user_and_finds_its_password(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n", "utf-8")
    found = parse(f"cassandra://me@a:9043,b:9043/city/users?password-file={file}&dc=east", {})
    assert (found.hosts, found.port, found.keyspace, found.table) == (("a", "b"), 9043, "city", "users")
    assert (found.user, found.password, found.dc) == ("me", "s3cret", "east")
    assert found.name == "cassandra://me@a:9043,b:9043/city/users"
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("cassandra://me:pw@host/city", "seen by everybody"),
        ("cassandra://host", "names no keyspace"),
        ("cassandra:///city", "names no host"),
        ("cassandra://host/city?what=1", "unknown option"),
        ("cassandra://a:1,b:2/city", "several ports"),
        ("cassandra://host/city;drop", "names no keyspace"),
    ],
)
def test_an_address_that_is_none_says_why(wrong: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        parse(wrong, {})
    assert "pw" not in str(raised.value)
