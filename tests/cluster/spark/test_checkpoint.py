"""A checkpoint goes on with what it has read, also one of an earlier version, and with nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.engine.spark.checkpoint import goes_on, has_real_time
from citywatch.errors import StoreError
from tests.cluster.spark import city
from tests.cluster.spark.running import alerts, command, detect
from tests.conformance.command_line import said

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def checkpoint(directory: Path, *ends: dict[str, Any] | int | None, files: Sequence[Path] = ()) -> str:
    """As Spark writes it after one batch; `ends` say how far each source was read."""
    for name in ("offsets", "commits", "sources/0"):
        (directory / name).mkdir(parents=True)
    lines = ["v1", "{}", *("-" if end is None else json.dumps(end) for end in ends)]
    (directory / "offsets" / "0").write_text("\n".join(lines))
    (directory / "commits" / "0").write_text("v1\n{}")
    entries = [json.dumps({"path": path.as_uri(), "timestamp": 1, "batchId": 0}) for path in files]
    (directory / "sources" / "0" / "0").write_text("\n".join(["v1", *entries]))
    return str(directory)


def test_a_checkpoint_of_topics_goes_on_with_these_and_further_ones(spark: SparkSession, tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "c", {"users": {"0": 7}, "drones": {"0": 1}}, 12)
    goes_on(spark, place, "kafka://broker/users,drones", ("users", "drones"))
    goes_on(spark, place, "kafka://broker/all", ("more", "users", "drones"))
    for source, topics in (("kafka://broker/users", ("users",)), (str(tmp_path), ())):
        with pytest.raises(StoreError, match=f"has read drones, users; this run would read {source}"):
            goes_on(spark, place, source, topics)


def test_a_checkpoint_of_a_directory_goes_on_with_that(spark: SparkSession, tmp_path: Path) -> None:
    incoming = tmp_path / "in the city"
    place = checkpoint(tmp_path / "c", {"logOffset": 0}, None, files=[incoming / "a.ndjson"])
    for source in (incoming, f"{tmp_path}/in*", incoming.as_uri().replace("%20", " ")):
        goes_on(spark, place, str(source), ())
    for source, topics in ((str(tmp_path / "in"), ()), ("kafka://broker/users", ("users",))):
        with pytest.raises(StoreError, match=f"has read .*in the city; this run would read {source}"):
            goes_on(spark, place, source, topics)


@pytest.mark.parametrize("ends", [(), (None, 3)], ids=["that is new", "that has read nothing"])
def test_a_checkpoint_goes_on_with_anything(spark: SparkSession, tmp_path: Path, ends: tuple[int | None, ...]) -> None:
    place = checkpoint(tmp_path / "c", *ends) if ends else str(tmp_path / "c")
    goes_on(spark, place, "kafka://broker/users", ("users",))
    assert has_real_time(spark, place)


@pytest.mark.soak
def test_a_checkpoint_without_real_time_goes_on_where_the_job_has_an_end(spark: SparkSession, tmp_path: Path) -> None:
    """`spark detect --once` made such ones at first."""
    from citywatch.engine.spark.inputs import files

    rules, data, incoming = city.rules(tmp_path / "rules"), tmp_path / "data", tmp_path / "in"
    city.write(tmp_path / "all", city.events(5_000, seed=3))
    said("run", tmp_path / "all" / "*.ndjson", "--once", "--rules", rules, "--data", tmp_path / "one")
    data.mkdir()
    incoming.mkdir()
    parts = sorted((tmp_path / "all").iterdir())
    for part in parts[: city.FILES // 2]:
        part.rename(incoming / part.name)
    detect(spark, data, rules, files(spark, str(incoming)))
    for part in parts[city.FILES // 2 :]:
        part.rename(incoming / part.name)
    go_on = ("detect", incoming, "--data", data, "--rules", rules, "--checkpoint", data / "checkpoint")
    with pytest.raises(StoreError, match="go on with --once, or begin another checkpoint"):
        command(*go_on)
    command(*go_on, "--once")
    assert alerts(data) == alerts(tmp_path / "one")
