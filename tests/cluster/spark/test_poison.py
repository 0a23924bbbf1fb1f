"""A poison message in each topic that jobs on Spark read: it is kept with its place and reason, and nothing stops."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from citywatch.stores.archive.manifest import Archive
from citywatch.stores.desk import Desk
from tests.cluster.servers import kafka
from tests.cluster.spark.running import command
from tests.cluster.test_reading import OLDER, PERSON, event
from tests.cluster.topics import Cluster, Sent

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.usefixtures("spark")]

POISON: list[Sent] = [b"\xff\xfe\x00", "no JSON", "[1]", '{"unknown": 1}', None, event(1)[:-9], b"[" * 100_000]
POISON += ['{"specversion": "1.0", "id": "\\ud800", "source": "s", "type": "t"}']
"""Binary, text, other shapes, nothing at all, cut off, deep, half of a character."""
HUGE = b'{"id": "' + b"n" * 17_000_000
MAPPINGS = {"users": "safety-watcher", "csv_topic": "prestacop", "drone_topic": "prestacop", "alert_topic": "prestacop"}
LARGE = {"max_message_bytes": "20000000"}


def _good(topic: str, number: int) -> str:
    """A message of the topic's own shape."""
    if topic == "citywatch.events":
        return event(number)
    if topic == "users":
        return json.dumps({**json.loads(PERSON), "id": f"p{number}"})
    drone = OLDER.replace("VWWFHVR", f"{topic[0].upper()}{number}") % "10/21/2020 0309A"
    return drone.replace('"drone_id": 4', '"drone_id": null') if topic == "csv_topic" else drone


@pytest.fixture(scope="module")
def source() -> tuple[str, list[str]]:
    """The address of five topics, each with poison between two good messages, and their names."""
    cluster = Cluster(kafka())
    names = {topic: cluster.make(f"{topic}-{time.time_ns()}", 1, **LARGE) for topic in ("citywatch.events", *MAPPINGS)}
    for topic, name in names.items():
        cluster.send(name, [_good(topic, 0), *POISON, _good(topic, 1)])
    cluster.send(names["citywatch.events"], [HUGE])
    mapping = ",".join(f"{names[topic]}:{mapping}" for topic, mapping in MAPPINGS.items())
    return cluster.url(*names.values(), mapping=mapping), list(names.values())


def _places(names: list[str]) -> Counter[tuple[str, int]]:
    huge = (f"{names[0]}/0", 2 + len(POISON))
    return Counter([huge, *((f"{name}/0", 1 + line) for name in names for line in range(len(POISON)))])


def _said(lines: list[str]) -> dict[str, int]:
    counts: dict[str, int] = json.loads(lines[-1])
    return {name: counts[name] for name in ("read", "events", "duplicates", "rejected")}


def test_detection_goes_on_and_keeps_all_of_it(source: tuple[str, list[str]], tmp_path: Path) -> None:
    address, names = source
    data, no_rules = tmp_path / "data", tmp_path / "rules"
    no_rules.mkdir()
    counts = _said(command("detect", address, "--data", data, "--rules", no_rules, "--once"))
    bad, good = len(names) * len(POISON) + 1, len(names) * 2
    assert counts == {"read": bad + good, "events": good, "duplicates": 0, "rejected": bad}
    with Desk(data / "desk.sqlite") as desk:
        kept = list(desk.rejected())
    assert Counter((row["source"], row["line"]) for row in kept) == _places(names)
    assert all(row["reason"] for row in kept)
    cut = [row for row in kept if row["raw"] == event(1)[:-9]]
    assert len(cut) == len(names), "the bytes are kept as they came"


@pytest.mark.soak
def test_the_archive_goes_on_and_keeps_all_of_it(source: tuple[str, list[str]], tmp_path: Path) -> None:
    address, names = source
    counts = _said(
        command("archive", "--from", address, "--to", tmp_path / "to", "--data", tmp_path / "data", "--once")
    )
    bad, good = len(names) * len(POISON) + 1, len(names) * 2
    assert counts == {"read": bad + good, "events": good, "duplicates": 0, "rejected": bad}
    archive = Archive(str(tmp_path / "to"))
    files = [archive.url(file) for found in archive.manifest().rejected.values() for file in found]
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT source, line, reason FROM read_parquet({files})").fetchall()
    assert Counter((name, line) for name, line, _ in rows) == _places(names)
    assert all(reason for *_, reason in rows)
