"""`citywatch spark detect` says the alerts that one machine says: over batches, shards, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cluster.spark import city
from tests.cluster.spark.running import Records, alerts, copied, detect
from tests.conformance.cases import Said
from tests.conformance.command_line import said

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMES = [f"{number}.ndjson" for number in range(city.FILES)]


class City(NamedTuple):
    """What all tests read, and what one machine says of it."""

    files: Path
    rules: Path
    lines: Sequence[str]
    expected: dict[str, Said]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> City:
    directory = tmp_path_factory.mktemp("city")
    rules, lines = city.rules(directory / "rules"), city.events()
    city.write(directory / "in", lines)
    said("run", directory / "in" / "*.ndjson", "--once", "--rules", rules, "--data", directory / "data")
    return City(directory / "in", rules, lines, alerts(directory / "data"))


def files(directory: Path) -> Records:
    from citywatch.engine.spark.inputs import files as of_files

    def records(spark: SparkSession) -> DataFrame:
        return of_files(spark, str(directory))

    return records


def test_the_city_has_alerts_of_every_type_of_rule(given: City) -> None:
    found = [alert.rule for alert in given.expected.values()]
    assert {name for name in city.names() if found.count(name) < 5} == set()


@pytest.mark.parametrize("shards", [1, 4])
def test_the_alerts_are_those_of_one_machine_over_five_batches_and_a_restart(
    given: City, shards: int, tmp_path: Path
) -> None:
    data, arriving = tmp_path / "data", tmp_path / "in"
    data.mkdir()
    copied(given.files, arriving, NAMES[:2])
    first = detect(data, given.rules, files(arriving), shards=shards)
    copied(given.files, arriving, NAMES[2:])
    second = detect(data, given.rules, files(arriving), shards=shards)

    assert [len(first.told), len(second.told)] == [2, 3]
    assert second.told[0].counts["reloads"] == shards, "the state was not read again"
    assert first.count("events") + second.count("events") == city.EVENTS
    assert alerts(data) == given.expected
    written = [told.counts["state_bytes"] for told in [*first.told, *second.told]]
    assert max(written) < 1.5 * written[0], "what is written grows with the state"
