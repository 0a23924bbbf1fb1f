"""What stands in Cassandra is what stands in log and desk: each thing once, found by what people ask."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from citywatch.event import FIELDS
from citywatch.masking import SENSITIVE
from citywatch.settings import DAY, Retention, Settings
from citywatch.stores.cassandra.rows import plate_hash
from citywatch.stores.cassandra.tables import LOOKUPS, ROLES
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.cluster.cassandra.agreement import alerts_of, same_alerts, same_events
from tests.cluster.cassandra.keyspaces import KEY, SECRET, Keyspace
from tests.cluster.running import citywatch
from tests.mqtt.conftest import stored
from tests.unit.desk.facts import fact, table

pytestmark = pytest.mark.cluster


def test_every_event_and_alert_stands_there_once_however_often_it_is_taken_over(kept: Keyspace, city: Path) -> None:
    same_alerts(kept, city, KEY)
    same_events(kept, city)
    counts = kept.counts()
    assert min(counts[table] for table in ("device_history", "devices", "users", "alerts", "alerts_by_plate")) > 5
    kept.rows("TRUNCATE {}.relays")
    kept.fill(city)
    assert kept.counts() == counts


def test_a_device_is_found_with_its_latest_word(kept: Keyspace, city: Path) -> None:
    columns = "device_id, max(epoch_ms(time)) OVER (PARTITION BY device_id), epoch_ms(time), source, id"
    device, latest, at, source, ident = stored(city, columns)[0]
    (row,) = kept.rows(f"SELECT toUnixTimestamp(said_at) AS at FROM {{}}.devices WHERE device_id = '{device}'")
    assert row.at == latest
    assert isinstance(at, int)
    day, part = np.datetime64(at, "ms").astype("datetime64[D]"), at // 21_600_000 % 4
    where = f"device_id = '{device}' AND day = '{day}' AND part = {part}"
    history = kept.rows(f"SELECT source, id FROM {{}}.device_history WHERE {where}")
    assert (source, ident) in {(found.source, found.id) for found in history}


def test_alerts_are_found_by_plate_where_one_knows_the_key(kept: Keyspace, city: Path) -> None:
    alert = next(a for a in alerts_of(city) if any(e["data"].get("plate") for e in a["evidence"]))
    plate = next(e["data"]["plate"] for e in alert["evidence"] if e["data"].get("plate"))
    month = f"{alert['first_seen'][:7]}-01"
    query = "SELECT id FROM {{}}.alerts_by_plate WHERE plate_hash = '{}' AND month = '{}'"
    assert alert["id"] in {row.id for row in kept.rows(query.format(plate_hash(KEY, plate), month))}
    assert not kept.rows(query.format(plate_hash(b"another key", plate), month))


def test_what_people_look_into_names_no_plate_and_no_person(kept: Keyspace, city: Path) -> None:
    columns = [name for name in SENSITIVE if name in {field.name for field in FIELDS}]
    secret = {str(value) for row in stored(city, ", ".join(columns)) for value in row if value}
    named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(secret)))})(?!\w)")
    reasons = [alert["reason"] for alert in alerts_of(city) if named.search(alert["reason"])]
    assert len([reason for reason in reasons if reason.startswith("plate ")]) > 5
    assert len([reason for reason in reasons if reason.startswith("person ")]) > 1
    for name in LOOKUPS:
        rows = kept.rows(f"SELECT * FROM {{}}.{name}")
        words = json.dumps([list(row) for row in rows], default=str, ensure_ascii=False)
        assert rows, name
        assert not named.findall(words), name


def test_an_older_word_that_comes_later_changes_nothing(store: Keyspace, tmp_path: Path) -> None:
    from citywatch.engine.embedded import Engine
    from citywatch.mappings.load import load_mappings, shipped
    from citywatch.mappings.parse import Parser
    from citywatch.rules.model import Ruleset
    from citywatch.sources import open_source

    def status(number: int, minute: int, **said: float) -> str:
        time = f"2026-05-01T12:{minute:02}:00Z"
        event = {"specversion": "1.0", "id": str(number), "source": "drone/1", "type": "device.status", "time": time}
        return json.dumps({**event, "data": {"device_id": "1", **said}})

    parser = Parser(Settings(), load_mappings([shipped()]))
    for number, line in enumerate([status(1, 30, battery=50), status(2, 10, battery=90, temperature=20.5)]):
        file = tmp_path / f"{number}.ndjson"
        file.write_text(line + "\n", "utf-8")
        with Engine(tmp_path / "data", Ruleset(()), Settings()) as engine:
            engine.run_bounded(open_source(str(file)), [parser.parse])
        store.fill(tmp_path / "data")
    (row,) = store.rows("SELECT * FROM {}.devices")
    assert (row.battery, row.temperature) == (50.0, 20.5)
    assert row.said_at.minute == 30


def test_a_row_that_can_never_be_stored_holds_no_other_up(store: Keyspace, tmp_path: Path) -> None:
    lines = []
    for number, device in enumerate(["good", "d" * 70_000, "better"]):
        event = {"specversion": "1.0", "id": str(number), "source": "s", "type": "device.status"}
        lines.append(json.dumps({**event, "time": "2026-05-01T12:00:00Z", "data": {"device_id": device}}) + "\n")
    file = tmp_path / "events.ndjson"
    file.write_text("".join(lines), "utf-8")
    data = tmp_path / "data"
    done = citywatch("run", file, "--once", "--data", data, "--store", store.url, env=_environment())
    assert not done.returncode, done.stderr
    assert "can never store some rows" in done.stderr
    assert {row.device_id for row in store.rows("SELECT device_id FROM {}.devices")} == {"good", "better"}
    with Desk(data / "desk.sqlite") as desk:
        (standing,) = desk.status()["stores"].values()
    assert (standing["events"], standing["refused"]) == (0, 2)


def filled(data: Path, facts: pa.Table) -> Path:
    """A data directory with alerts and no events."""
    data.mkdir()
    for part in ("log", "history"):
        (data / part).mkdir()
    (data / "FORMAT").write_text(json.dumps({"version": 1, "settings": {"zone": "America/New_York"}}), "utf-8")
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(facts, now=now_us())
    return data


def test_an_alert_whose_first_match_moves_to_the_day_before_stands_there_and_nowhere_else(
    store: Keyspace, tmp_path: Path
) -> None:
    data = filled(tmp_path / "data", table([fact(1, first_seen=100 * DAY + 5)]))
    store.fill(data)
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(table([fact(1, first_seen=99 * DAY + 5, level="low")]), now=now_us())
    store.fill(data)
    for name in ("alerts_by_day", "alerts_by_rule"):
        (row,) = store.rows(f"SELECT day, level FROM {{}}.{name}")
        assert (row.day.date(), row.level) == (date(1970, 4, 10), "low")
    assert store.counts()["alerts"] == 1


def test_what_is_to_be_kept_for_a_time_lives_as_long_there(store: Keyspace, tmp_path: Path, city: Path) -> None:
    store.fill(
        city,
        Settings(retention=Retention.of({"events": {"person.report": "1d", "drone.*": "3000d", "sensor.*": "9000d"}})),
    )
    assert store.counts()["users"] == 2  # those of today; the simulated day is long past
    left: dict[str, set[int | None]] = {}
    for row in store.rows("SELECT type, TTL(event) AS left FROM {}.device_history"):
        left.setdefault(row.type, set()).add(row.left)
    assert all(span and 2_000 * 86_400 < span < 3_000 * 86_400 for span in left["drone.position"])
    assert left["anpr.read"] == left["sensor.reading"] == {None}  # beyond 2038 is for ever


def test_a_closed_alert_goes_when_retention_says_so_and_an_open_one_stays(store: Keyspace, tmp_path: Path) -> None:
    data = filled(tmp_path / "data", table([fact(1, first_seen=now_us()), fact(2, first_seen=now_us())]))
    with Desk(data / "desk.sqlite") as desk:
        first = next(desk.alerts())["id"]
    done = citywatch("alerts", "close", first, "--outcome", "true_positive", "--data", data)
    assert not done.returncode, done.stderr
    store.fill(data, Settings(retention=Retention.of({"alerts": "30d"})))
    left = {row.id == first: row.left for row in store.rows("SELECT id, TTL(line) AS left FROM {}.alerts")}
    assert left[False] is None
    assert 29 * 86_400 < left[True] <= 30 * 86_400


def test_each_role_may_do_what_it_is_for_and_nothing_else(store: Keyspace, city: Path, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    made = citywatch("cassandra", "users", store.url, "--passwords", passwords, env=_environment())
    assert not made.returncode, made.stderr
    again = citywatch("cassandra", "users", store.url, "--passwords", passwords, env=_environment())
    assert not again.returncode, again.stderr
    assert {path.name for path in passwords.iterdir()} == set(ROLES)
    assert {path.stat().st_mode & 0o777 for path in passwords.iterdir()} == {0o600}

    def as_role(role: str, query: str) -> str:
        from cassandra import Unauthorized

        from citywatch.connections.cassandra import parse, session
        from citywatch.errors import StoreError

        url = store.url.replace("cassandra@", f"{role}@", 1) + f"?password-file={passwords / role}"
        with session(parse(url), lambda what, hint: StoreError(what, hint=hint)) as opened:
            try:
                opened.execute(query.format(store.address.keyspace))
            except Unauthorized:
                return "refused"
            return "done"

    assert as_role("citywatch_lookup", "SELECT * FROM {}.alerts_by_day LIMIT 1") == "done"
    assert as_role("citywatch_lookup", "SELECT * FROM {}.users LIMIT 1") == "refused"
    assert as_role("citywatch_reports", "SELECT * FROM {}.users LIMIT 1") == "done"
    assert as_role("citywatch_reports", "INSERT INTO {}.users (id) VALUES ('1')") == "refused"
    assert as_role("citywatch_writer", "INSERT INTO {}.relays (directory) VALUES ('1')") == "done"
    assert as_role("citywatch_writer", "DROP TABLE {}.users") == "refused"


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, **SECRET}
