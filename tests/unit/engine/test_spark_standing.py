"""How a job on Spark stands: what it counts, and what it makes of Spark's words."""

from __future__ import annotations

import json
import time
from collections import Counter
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from citywatch.alert import facts_schema
from citywatch.cli.spark_reporting import metrics
from citywatch.engine.spark.progress import Progress, lag, offsets
from citywatch.engine.spark.standing import Standing
from citywatch.engine.spark.told import Told
from citywatch.event import batch_schema
from citywatch.records.chunk import rejected_schema

PROGRESS = {
    "sources": [
        {
            "description": "KafkaV2[Subscribe[t]]",
            "endOffset": {"t": {"0": 90, "1": 40}},
            "latestOffset": json.dumps({"t": {"0": 100, "1": 40, "2": 7}}),
        },
        {"description": "RatePerMicroBatch", "endOffset": 3, "latestOffset": None},
    ],
    "durationMs": {"triggerExecution": 1500},
    "processedRowsPerSecond": 12.5,
}


def told(batch: int, events: int, seen: list[int]) -> Told:
    """A batch that says alerts with these last matches (µs)."""
    facts = facts_schema().empty_table()
    if seen:
        rows = [dict.fromkeys(facts.column_names) | {"last_seen": at} for at in seen]
        facts = facts.from_pylist(rows, schema=facts.schema)
    counts = Counter(events=events, identities_bytes=30, rules_bytes=100, reloads=1)
    return Told(batch, facts, rejected_schema().empty_table(), batch_schema().empty_table(), counts, clock=batch)


def test_totals_go_on_from_the_start_before_and_a_batch_that_is_told_again_counts_once() -> None:
    first = Standing("t", {})
    first.hear(told(0, 5, []))
    first.hear(told(1, 7, []))
    second = Standing("t", first.status())
    second.hear(told(1, 7, []))
    second.hear(told(2, 1, []))
    assert second.status()["counts"]["events"] == 13
    assert second.status()["clock"] == 2


def test_what_is_not_read_is_known_by_partition_also_where_a_partition_is_new() -> None:
    assert lag(*offsets(PROGRESS)) == {"t": {"0": 10, "1": 0, "2": 7}}
    assert lag(*offsets({"sources": [{"description": "FileStreamSource[x]", "endOffset": {"logOffset": 1}}]})) == {}


def test_what_is_not_read_grows_while_a_batch_takes_long() -> None:
    standing = Standing("kafka://b/t", {})
    standing.grown({"t": {"0": (60, 100), "1": (0, 40)}})
    assert standing.status()["lag"] == {"kafka://b/t": {"t/0": 40, "t/1": 40}}, "the first batch is still to come"
    standing.progressed(PROGRESS)
    standing.grown({"t": {"0": (60, 150), "1": (0, 40), "2": (0, 7)}})
    assert standing.status()["lag"] == {"kafka://b/t": {"t/0": 60, "t/1": 0, "t/2": 7}}
    standing.progressed(PROGRESS)
    assert standing.status()["lag"]["kafka://b/t"]["t/0"] == 60, "what Spark saw before is older"


def test_a_prometheus_reads_lag_delay_batches_and_state() -> None:
    standing = Standing("kafka://b/t", {})
    standing.progressed(PROGRESS)
    standing.hear(told(0, 5, [time.time_ns() // 1000 - 1_200_000, 0]))
    lines = "".join(standing.exposition()).splitlines()
    assert 'citywatch_source_lag{source="kafka://b/t",partition="t/0"} 10' in lines
    assert 'citywatch_records_total{outcome="events"} 5' in lines
    assert "citywatch_spark_batches_total 1" in lines
    assert 'citywatch_spark_state_bytes_total{stage="identities"} 30' in lines
    assert 'citywatch_spark_state_bytes_total{stage="rules"} 100' in lines
    assert "citywatch_spark_batch_seconds 1.5" in lines
    assert 'citywatch_alert_delay_seconds_bucket{le="1"} 0' in lines
    assert 'citywatch_alert_delay_seconds_bucket{le="30"} 1' in lines
    assert "citywatch_alert_delay_seconds_count 1" in lines, "an alert of the past is not late"


def test_a_prometheus_reads_what_a_job_without_rules_has_kept_and_what_waits() -> None:
    progress = Progress("kafka://b/t")
    progress.count(Counter(events=5, duplicates=1))
    progress.count(Counter(events=2, rejected=3))
    progress.progressed(PROGRESS)
    lines = "".join(progress.exposition()).splitlines()
    counted = {"events": 7, "duplicates": 1, "conflicts": 0, "rejected": 3, "late": 0}
    assert {f'citywatch_records_total{{outcome="{name}"}} {n}' for name, n in counted.items()} < set(lines)
    assert 'citywatch_source_lag{source="kafka://b/t",partition="t/2"} 7' in lines
    assert "citywatch_spark_batches_total 2" in lines
    assert not [line for line in lines if "alert" in line or "clock" in line], "it has none"


def test_the_page_of_metrics_is_served_on_loopback_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with metrics(Standing("t", {}), 0):
        address = capsys.readouterr().err.strip().rpartition(" ")[2]
        assert address.startswith("http://127.0.0.1:")
        with urlopen(address) as answer:  # noqa: S310 - as it has just been said
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"citywatch_spark_batches_total 0" in answer.read()
        with pytest.raises(HTTPError, match="404") as raised:
            urlopen(address.replace("metrics", "secrets"))  # noqa: S310 - as above
        raised.value.close()
