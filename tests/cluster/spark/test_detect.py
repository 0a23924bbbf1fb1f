"""`citywatch spark detect` says the alerts that the contract asks for: over batches, shards, restarts, other rules."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from citywatch.rules.load import load_rules
from citywatch.settings import Settings
from tests.cluster.running import Run, read
from tests.cluster.servers import kafka
from tests.cluster.spark import city, edits
from tests.cluster.spark.running import alerts, command, detect
from tests.cluster.test_same_alerts import clock
from tests.cluster.topics import Cluster, Sent
from tests.conformance.cases import Case, Heard, Said, differences
from tests.conformance.command_line import said
from tests.conformance.examples import document

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from citywatch.engine.spark.told import Told

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

BEFORE = city.EVENTS // 5 * 2
"""So many lines are read before the restart."""
AT_ONCE = city.EVENTS // 5
HEADS = 20_000
"""Bytes that are written with every batch, however small it is."""


class City(NamedTuple):
    """What all engines read, and what one machine says of it."""

    cluster: Cluster
    topic: str
    rules: Path
    lines: Sequence[str]
    ends: Sequence[str]
    expected: dict[str, Said]

    def send(self, lines: Sequence[str]) -> None:
        """To the two partitions of the topic, by device."""
        self.cluster.send(self.topic, lines, key=device)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> City:
    directory = tmp_path_factory.mktemp("city")
    cluster, rules, lines = Cluster(kafka()), city.rules(directory / "rules"), city.events()
    ends = [now_is(datetime.now(UTC), number) for number in range(2)]
    city.write(directory / "in", [*lines, *ends])
    said("run", directory / "in" / "*.ndjson", "--once", "--rules", rules, "--data", directory / "data")
    return City(cluster, cluster.make(partitions=2), rules, lines, ends, alerts(directory / "data"))


def now_is(moment: datetime, number: int) -> str:
    """An event that no rule looks at: with it the clock of a bounded run stands where that of a live one does."""
    at = moment.isoformat().replace("+00:00", "Z")
    event = {"specversion": "1.0", "id": f"now {number}", "source": "end", "type": "test.clock", "time": at}
    return json.dumps({**event, "receivedat": at, "data": {}})


def device(line: Sent) -> str | None:
    try:
        record: dict[str, str] = json.loads(line or "")
    except ValueError:
        return None
    return record.get("source")


def of_topic(spark: SparkSession, cluster: Cluster, topic: str, at_once: int) -> DataFrame:
    from citywatch.engine.spark.inputs import kafka as of_kafka

    return of_kafka(spark, cluster.address, [topic], at_once=at_once, start="earliest", options={})


def test_one_machine_says_of_the_city_what_the_contract_says_and_of_every_type_of_rule_something(given: City) -> None:
    found = [alert.rule for alert in given.expected.values()]
    assert {name for name in city.names() if found.count(name) < 5} == set()
    rules = tuple(document(rule) for rule in yaml.safe_load_all(city._RULES))
    items = tuple(json.loads(line) for line in [*given.lines, *given.ends] if line.endswith("}"))
    assert differences(Case(rules, items), Heard(list(given.expected.values()))) == []


def test_the_alerts_are_those_of_one_machine_over_batches_and_a_restart_in_one_shard_and_in_four(
    given: City, spark: SparkSession, tmp_path: Path
) -> None:
    shards = {number: tmp_path / str(number) for number in (1, 4)}
    for data in shards.values():
        data.mkdir()
    records = of_topic(spark, given.cluster, given.topic, AT_ONCE)
    given.send(given.lines[:BEFORE])
    first = {n: detect(spark, data, given.rules, records, shards=n) for n, data in shards.items()}
    given.send(given.lines[BEFORE:])
    for number, end in enumerate(given.ends):
        given.cluster.send(given.topic, [end], partition=number)
    second = {n: detect(spark, data, given.rules, records, shards=n) for n, data in shards.items()}
    for n, data in shards.items():
        batches = [*first[n].told, *second[n].told]
        assert len(first[n].told) >= 2
        assert len(batches) >= 5
        assert second[n].told[0].counts["reloads"] == n, "the state was not read again"
        assert sum(told.counts["events"] for told in batches) == city.EVENTS + len(given.ends)
        assert sum(told.counts["rejected"] for told in batches) == city.EVENTS // 1000
        assert alerts(data) == given.expected
        grows_with_the_batch(batches, data / "checkpoint")


def grows_with_the_batch(batches: Sequence[Told], checkpoint: Path) -> None:
    """What each stage has written of its state in a batch, and what Spark has put into its logs of both."""
    logs: Counter[int] = Counter()
    for log in checkpoint.glob("state/*/*/*.changelog"):
        logs[int(log.stem)] += log.stat().st_size
    assert len(logs) == len(batches)
    stages = {name: [told.counts[f"{name}_bytes"] for told in batches] for name in ("identities", "rules")}
    read = [told.counts["events"] + told.counts["duplicates"] for told in batches]
    for name, written in {**stages, "Spark": [size for _, size in sorted(logs.items())]}.items():
        assert written[0] > 10 * read[0], f"{name} keeps something of each event"
        allowed = [1.5 * written[0] * count / read[0] + HEADS for count in read]
        assert [size for size, most in zip(written, allowed, strict=True) if size > most] == [], (name, written, read)


def test_a_process_that_listens_to_the_topic_says_the_same(given: City, tmp_path: Path) -> None:
    data, topic = tmp_path / "data", given.cluster.make(partitions=2)
    given.cluster.send(topic, given.lines, key=device)
    for number, end in enumerate(given.ends):
        given.cluster.send(topic, [end], partition=number)
    with Run(data, given.cluster.url(topic), "--rules", given.rules) as run:
        run.wait_for(len(given.lines) + len(given.ends))
        run.wait(lambda: clock(data) > time.time() - 10)
        run.wait_for(len(given.lines) + len(given.ends))
    assert read(data) == len(given.lines) + len(given.ends)
    assert alerts(data) == given.expected


def test_a_job_that_goes_on_with_edited_rules_keeps_the_windows_of_the_others_and_reads_the_past_for_these(
    cluster: Cluster, spark: SparkSession, tmp_path: Path
) -> None:
    from citywatch.engine.spark.checkpoint import reached
    from citywatch.engine.spark.past import TopicsPast

    data, topic = tmp_path / "data", cluster.make(partitions=2)
    data.mkdir()
    records = of_topic(spark, cluster, topic, edits.HALF // 2)
    lines = [json.dumps(item) for item in edits.ITEMS[: 2 * edits.HALF]]
    cluster.send(topic, lines[: edits.HALF], key=device)
    detect(spark, data, edits.written(edits.RULES, tmp_path / "old"), records, shards=2)
    cluster.send(topic, lines[edits.HALF :], key=device)
    for number, end in enumerate(edits.ENDS):
        cluster.send(topic, [json.dumps(end)], partition=number)
    past = TopicsPast(cluster.address, {}, reached(spark, str(data / "checkpoint"), [topic]))
    assert sum(end for *_, end in past.ends) == edits.HALF
    detect(spark, data, edits.written(edits.EDITED, tmp_path / "new"), records, shards=2, past=past)

    facts, expected = {edits.fact(alert) for alert in alerts(data).values()}, edits.expected()
    assert {f for f in facts if f[0] not in edits.ASKED} == {f for f in expected if f[0] not in edits.ASKED}
    assert edits.after_the_edit(facts) == edits.after_the_edit(expected) != set()


@pytest.mark.soak
def test_rules_that_were_away_read_the_files_of_a_directory_again(spark: SparkSession, tmp_path: Path) -> None:
    """Embedded engines and topics go on so, too (`tests/conformance/test_edited_rules.py`)."""
    data, incoming, half = tmp_path / "data", tmp_path / "in the city", edits.HALF
    older, newer = edits.written(edits.RULES, tmp_path / "old"), edits.written(edits.EDITED, tmp_path / "new")
    lines = [json.dumps(item) for item in edits.ITEMS]
    parts = [(older, 0, half // 2), (newer, half // 2, half * 3 // 4), (older, half * 3 // 4, 2 * half)]
    incoming.mkdir()
    for number, (rules, start, end) in enumerate(parts):
        ends = [json.dumps(item) for item in edits.ENDS] if end == 2 * half else []
        (incoming / f"{number}.ndjson").write_text("".join(f"{line}\n" for line in [*lines[start:end], *ends]))
        command("detect", incoming, "--data", data, "--rules", rules, "--once", "--shards", 2)
    facts, versions = alerts(data).values(), {r.version for r in load_rules([older], Settings(), run_tests=False).rules}
    found = edits.open_since({edits.fact(fact) for fact in facts if fact.rule_version in versions}, half * 3 // 4)
    assert found == edits.open_since(edits.expected(edited=False), half * 3 // 4) != set()


def test_files_that_come_to_a_directory_are_read_in_their_order(spark: SparkSession, tmp_path: Path) -> None:
    from citywatch.engine.spark.inputs import files

    rules, data = city.rules(tmp_path / "rules"), tmp_path / "data"
    city.write(tmp_path / "in", city.events(5_000, seed=3))
    said("run", tmp_path / "in" / "*.ndjson", "--once", "--rules", rules, "--data", tmp_path / "one")
    data.mkdir()
    run = detect(spark, data, rules, files(spark, str(tmp_path / "in")))
    assert len(run.told) == city.FILES
    assert alerts(data) == alerts(tmp_path / "one")
